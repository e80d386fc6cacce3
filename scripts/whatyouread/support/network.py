"""What libraries of the network raise, as one line that a user can act on."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whatyouread.support.cli import UserError
from whatyouread.support.files import of_the_machine
from whatyouread.support.text import plain

LONGEST_REASON = 500  # characters; a server that does not speak HTTP may send anything
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def network_errors(what: str, *passed: type[BaseException]) -> Iterator[None]:
    """Turn whatever a library of the network raises into a `UserError` about `what`.

    These libraries raise nearly anything where a proxy, a certificate, a variable of the environment
    or an answer is not as they expect. `UserError`, the classes `passed`, and what the machine lacks
    (disk, rights, memory) pass.
    """
    try:
        yield
    except (UserError, *passed):
        raise
    except Exception as error:
        if of_the_machine(error):
            raise
        raise UserError(f"{what}: {explain(error)}") from None


def explain(error: BaseException) -> str:
    """The cause of a network error and, where the environment has a part in it, what to do there."""
    return f"{reason(error)}{advice(error)}"


def reason(error: BaseException) -> str:
    """The innermost cause of an error, in one line that is not too long."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        return reason(inner)
    return plain(str(error), LONGEST_REASON) or type(error).__name__


def advice(error: BaseException) -> str:
    """What to do about an error in the environment of this process, after a semicolon; may be empty."""
    text = _everything(error)
    proxies = [name for name in os.environ if name.lower().endswith("_proxy") and os.environ[name]]
    proxies = [name for name in proxies if name.lower() != "no_proxy"]
    if "socks" in text:
        names = [name for name in proxies if os.environ[name].lower().startswith("socks")]
        return (
            f"; {_listed(names) or 'the proxy'} is a SOCKS proxy: install the package that the message"
            " asks for (PySocks or socksio), name an http proxy instead, or unset it"
        )
    about_certificates = re.search(r"certificate|\bca\b|\bssl|x509|\bpem\b", text)
    given = {name: os.environ[name] for name in CERTIFICATES if os.environ.get(name)}
    if about_certificates or isinstance(error, FileNotFoundError):
        for name, path in given.items():
            if not Path(path).exists():
                return f"; {name} names {path}, which is not there: correct it, or unset it"
    if about_certificates and given:
        return f"; the certificates that are trusted are those in {_listed(given)}: the right ones?"
    if "certificate_verify_failed" in text:
        return (
            "; behind a proxy that reads along, name its certificate in REQUESTS_CA_BUNDLE"
            " and SSL_CERT_FILE"
        )
    for_hub = [
        name
        for name, value in os.environ.items()
        if name.startswith("HF_") and value.strip() and value.strip().lower() in text
    ]
    if for_hub:
        return f"; see what {_listed(for_hub)} holds in the environment, or unset it"
    if proxies and re.search(r"prox|parse|port|\burl\b|tunnel|idna|scheme", text):
        return f"; see the proxy in {_listed(proxies)}: it is to be like http://host:port"
    return ""


def _everything(error: BaseException | None) -> str:
    """The classes and messages of an error and of those that led to it, in lower case."""
    texts = []
    while error is not None and len(texts) < 10:
        texts.append(f"{type(error).__name__} {error}")
        error = error.__cause__ or error.__context__
    return " ".join(texts).lower()


def _listed(names) -> str:
    return ", ".join(sorted(names))
