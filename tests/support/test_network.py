"""What libraries of the network raise becomes one line that names the variable to correct."""

import errno
import ssl

import pytest
import requests
import urllib3

from whatyouread.support.cli import UserError
from whatyouread.support.network import CERTIFICATES, network_errors


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (*CERTIFICATES, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("error", "environment", "problem"),
    [
        (
            requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."),
            {"ALL_PROXY": "socks5h://h:1"},
            "ALL_PROXY is a SOCKS proxy: install.*PySocks",
        ),
        (
            ImportError("Using SOCKS proxy, but the 'socksio' package is not installed."),
            {"https_proxy": "SOCKS5://h:1"},
            "https_proxy is a SOCKS proxy",
        ),
        (
            OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /no/ca"),
            {"REQUESTS_CA_BUNDLE": "/no/ca"},
            "REQUESTS_CA_BUNDLE names /no/ca, which is not there",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory"),
            {"SSL_CERT_FILE": "/no/ca"},
            "SSL_CERT_FILE names /no/ca, which is not there",
        ),
        (
            ssl.SSLError(136, "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate (_ssl.c:4163)"),
            {"CURL_CA_BUNDLE": "/etc/passwd"},
            "are those in CURL_CA_BUNDLE",
        ),
        (
            ssl.SSLCertVerificationError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            {},
            "name its certificate in REQUESTS_CA_BUNDLE",
        ),
        (
            urllib3.exceptions.LocationParseError("http://h:port"),
            {"http_proxy": "http://h:port"},
            "see the proxy in http_proxy",
        ),
        (
            ValueError("invalid literal for int() with base 10: 'abc'"),
            {"HF_HUB_DOWNLOAD_TIMEOUT": "abc"},
            "see what HF_HUB_DOWNLOAD_TIMEOUT holds",
        ),
        (KeyError("a bug of a library"), {}, "a bug of a library"),
        (UnicodeError("label too long"), {}, "label too long"),
        (AssertionError(), {}, "AssertionError"),
        (RuntimeError("one\n two\n  three"), {}, "one two three"),
    ],
)
def test_one_line(monkeypatch, error, environment, problem):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(UserError, match=f"^the place: .*{problem}") as caught,
        network_errors("the place"),
    ):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [UserError("mine"), MemoryError(), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()]
)
def test_what_is_not_of_the_network_passes(error):
    with pytest.raises(type(error)) as caught, network_errors("the place"):
        raise error
    assert caught.value is error
