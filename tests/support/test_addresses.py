"""Addresses: what is shown of them, and what they mean."""

import json
import os
import random
from pathlib import Path

import pytest

from whatyouread.support import addresses
from whatyouread.support.addresses import hide, hide_all, local_path

SECRET = "S3cr3t-Wort_9"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"https://user:{SECRET}@host/x.zip", "https://host/x.zip"),
        (f"https://{SECRET}@host/x.zip", "https://host/x.zip"),
        (f"HTTPS://user:{SECRET}@host:8080/x", "HTTPS://host:8080/x"),
        (f"ftp://user:{SECRET}@host/x", "ftp://host/x"),
        (f"https://user:a/{SECRET}@host/x", "https://host/x"),
        (f"https://user:a#{SECRET}@host/x", "https://host/x"),
        (f"https://user:my {SECRET}@host/x", "https://host/x"),
        (f"https:user:{SECRET}@host/x", "https:host/x"),
        (f"http://u%40x:{SECRET}%21@host/x", "http://host/x"),
        (f"http://h/x?version=1&token={SECRET}", "http://h/x?version=1&token=***"),
        (f"http://h/x?access_token={SECRET}&a=b", "http://h/x?access_token=***&a=b"),
        (f"http://h/x?sig={SECRET}%3D&se=2026", "http://h/x?sig=***&se=2026"),
        (f"http://h/x?X-Amz-Signature={SECRET}", "http://h/x?X-Amz-Signature=***"),
        (f"http://h/x?x-goog-signature={SECRET}", "http://h/x?x-goog-signature=***"),
        (f"http://h/x?AWSAccessKeyId={SECRET}", "http://h/x?AWSAccessKeyId=***"),
        (f"http://h/x?X-Amz-Security-Token={SECRET}", "http://h/x?X-Amz-Security-Token=***"),
        (f"http://h/x?api_key={SECRET}", "http://h/x?api_key=***"),
        (f"http://h/x?api-key={SECRET}", "http://h/x?api-key=***"),
        (f"http://h/x?apiKey={SECRET}", "http://h/x?apiKey=***"),
        (f"http://h/x?key={SECRET}", "http://h/x?key=***"),
        (f"http://h/x?password={SECRET}", "http://h/x?password=***"),
        (f"http://h/x?to%6Ben={SECRET}", "http://h/x?to%6Ben=***"),
        (f"http://h/x?auth[token]={SECRET}", "http://h/x?auth[token]=***"),
        (f"http://h/x?view_only={SECRET}", "http://h/x?view_only=***"),
        (f"http://h/x;jsessionid={SECRET}?a=1", None),
        (f"http://h/x?a=1;token={SECRET}", "http://h/x?a=1;token=***"),
        (f"http://h/x?token=a;{SECRET}", "http://h/x?token=***"),
        (f"http://h/x#access_token={SECRET}&b=1", "http://h/x#access_token=***&b=1"),
        (f"http://h/?url=https%3A%2F%2Fu%3A{SECRET}%40g%2Fx", "http://h/?url=***"),
        (f"http://h/?to=http%3A%2F%2Fg%3Ftoken%3D{SECRET}", "http://h/?to=***"),
        (f"http://h/http://u:{SECRET}@g/x", "http://h/http://g/x"),
        (f"see url: /x?token={SECRET} (Caused by", "see url: /x?token=*** (Caused by"),
        (f"'/x?a=1&amp;token={SECRET}'", None),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
        (f"{{'authorization': 'Basic {SECRET}'}}", None),
        (f"Illegal header value b'Bearer {SECRET}'", None),
        ("hf_aBcDeFgHiJkLmN", "hf_***"),
    ],
)
def test_secrets_are_hidden(address, shown):
    for text in (address, hide(address)):  # hiding twice changes nothing
        assert SECRET not in hide(text)
        if shown is not None:
            assert hide(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://osf.io/download/dwkte/",
        "https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/taxdump_archive/taxdmp_2024-12-01.zip",
        "https://host:8080/a@b/x?version=1&name=x.fa",
        "https://cdn.example/npm/package@1.0/x.zip",
        "http://[::1]:80/a@b",
        "file:resources/simulated/dataset.zip",
        "/data/a:b@c/x.fa",
        "basic authentication of a@b.org; see x = y & z",
        "x.fa, line 3: a header, record '>a@b:c'",
        "2026-01-01 00:00:00 INFO resources/x?y, 5 of 6",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    assert hide(text) == text


def test_any_secret_anywhere():
    """Secrets of letters that addresses may hold, in every place, within any sentence."""
    letters = "abcXYZ019-._~!$'()*+,:%40"
    names = ["token", "sig", "X-Amz-Signature", "apikey", "Private-Token", "pwd", "client_secret"]
    for seed in range(400):
        draw = random.Random(seed)
        secret = "Q" + "".join(draw.choices(letters, k=draw.randint(6, 30))) + "Z"
        user = f"{draw.choice(['', 'user:', 'a.b%40c:'])}{secret}@" if draw.random() < 0.5 else ""
        place = "" if user else f"{draw.choice(names)}={secret}"
        address = f"https://{user}host{draw.choice(['', ':8080'])}/a/b.zip"
        address += draw.choice(["?", "?x=1&", "#", "?x=1;"]) + place
        sentence = draw.choice(["{}", "see {} now", "url='{}'", '<a href="{}">', '{{"url": "{}"}}'])
        assert secret not in hide(sentence.format(address)), address


def test_secrets_of_the_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form\n")
    monkeypatch.setenv("http_proxy", "http://me:pa:ss@proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "you:word@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "a@b")
    shown = hide("bad: a-token-of-another-form, me:pa:ss@proxy, you:word@proxy; mail a@b")
    assert shown == "bad: ***, ***@proxy, ***@proxy; mail a@b"


def test_values_of_any_depth():
    value = {"a": [f"http://u:{SECRET}@h", 1, None], "b": {"c": f"/x?token={SECRET}"}, "d": 0.5}
    assert hide_all(value) == {"a": ["http://h", 1, None], "b": {"c": "/x?token=***"}, "d": 0.5}
    assert value["a"][0] == f"http://u:{SECRET}@h"


def test_programs_get_the_whole_address_from_the_environment(monkeypatch):
    monkeypatch.delenv(addresses.REVEALED, raising=False)
    addresses.share(["http://h/x"])
    assert addresses.REVEALED not in os.environ
    monkeypatch.setenv(addresses.REVEALED, json.dumps({"http://old/": "http://u:p@old/"}))
    whole = f"http://u:{SECRET}@h/x?token={SECRET}"
    addresses.share([whole, "http://other/x"])
    assert addresses.reveal("http://h/x?token=***") == whole
    assert addresses.reveal("http://old/") == "http://u:p@old/"
    assert addresses.reveal("http://other/x") == "http://other/x"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///a/b.fa", Path("/a/b.fa")),
        ("file:/a/b.fa", Path("/a/b.fa")),
        ("FILE://localhost/a%20b%23c.fa", Path("/a b#c.fa")),
        ("file:a/b.fa", Path("a/b.fa")),
        ("a/./b.fa", Path("a/b.fa")),
        ("a b?c#d.fa", Path("a b?c#d.fa")),
        ("~/a.fa", Path.home() / "a.fa"),
        ("http://h/x", None),
        ("https:/h/x", None),
        ("ftp://h/x", None),
        ("s3://u:p@h/x", None),
    ],
)
def test_paths(address, path):
    assert local_path(address) == path


def test_path_of_another_machine():
    with pytest.raises(ValueError, match="another machine"):
        local_path("file://host/x.fa")


@pytest.mark.parametrize("name", ["key", "rlkey", "dataverse_key", "public_key", "download-key"])
def test_whatever_is_called_a_key(name):
    assert hide(f"https://h/x?{name}=geheim&a=1") == f"https://h/x?{name}=***&a=1"
