"""Addresses of data: which are of this machine, and how they are shown without what is secret in them.

Programs and the workflow both need this, so that it imports the standard library alone.
"""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_plus, urlsplit

HIDDEN = "***"
REVEALED = "WHATYOUREAD_ADDRESSES"
"""The environment variable with the whole addresses: JSON, from each one as it is shown."""

_SCHEME = r"(?:\b[a-z][a-z0-9+.-]*:/{1,3}|\bhttps?:|(?<![\w:/])//)"
_USERS = (
    re.compile(r"\A([a-z][a-z0-9+.-]*:/{1,3})[^/?#]*@", re.IGNORECASE),  # with blanks, too
    re.compile(rf"({_SCHEME})[^\s/?#]*@", re.IGNORECASE),
    # a password with a slash; not a port
    re.compile(rf"({_SCHEME})[^\s/?#@\[]*:(?!\d+(?:[/?#\s'\"),]|$))\S*@", re.IGNORECASE),
)
_PARAMETER = re.compile(r"([?&;#])([^\s=&;#?]+)=([^\s&#\"<>]*)")
_SECRET = re.compile(
    # anywhere in a name
    "token|secret|passw|pwd|passphrase|signature|credential|apikey|accesskey|accountkey|authkey"
    "|privatekey|privatelink|viewonly|session|jwt|bearer|oauth|subscriptionkey|keypairid"
    # at its end: key, rlkey, dataverse_key, public_key
    r"|key\Z"
    # as the whole name
    r"|\A(?:sig|pass|pw|auth|authorization|code|sid|hmac|policy|ticket|otp|cookie|pin"
    r"|hdnea|hdnts)\Z"
)
_HEADER = re.compile(r"(\bbearer\s+|\bauthorization\W{1,4}(?:\w+\s+)?)[^\s'\"]+", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")


def hide(text: str) -> str:
    """`text` without the passwords and tokens of the addresses in it, and of this environment.

    Names and passwords before a host are left out; the value of a parameter such as `token`,
    `sig` or `X-Amz-Signature` becomes `***`, also in a fragment, and a whole address in another
    one's parameter where it holds a secret. So do tokens of the Hugging Face Hub, headers that
    authorize, and what `HF_TOKEN` and the proxy variables hold.
    """
    for user in _USERS:
        text = user.sub(r"\1", text)
    text = _PARAMETER.sub(_hide_parameter, text)
    text = _HUB_TOKEN.sub(f"hf_{HIDDEN}", _HEADER.sub(rf"\1{HIDDEN}", text))
    for secret, shown in _of_environment():
        text = text.replace(secret, shown)
    return text


def hide_all(value):
    """`value`, made of dictionaries, lists and plain values, with every text in it hidden."""
    if isinstance(value, dict):
        return {key: hide_all(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(entry) for entry in value]
    return hide(value) if isinstance(value, str) else value


def share(addresses: list[str]) -> None:
    """Hand addresses with secrets to programs, by the environment: a command line is for all to read."""
    known = json.loads(os.environ.get(REVEALED, "{}"))
    known |= {hide(address): address for address in addresses if hide(address) != address}
    if known:
        os.environ[REVEALED] = json.dumps(known)


def reveal(address: str) -> str:
    """The whole address of one that is shown; an address that was not shared is returned as it is."""
    return json.loads(os.environ.get(REVEALED, "{}")).get(address, address)


def local_path(address: str) -> Path | None:
    """The path that an address means: `file:///a`, `file:a` (relative), `~/a` or a plain path.

    None for other schemes, such as http. Raises ValueError where a `file:` address is of another
    machine.
    """
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", address, re.IGNORECASE)
    if scheme and scheme[1].lower() == "file":
        host = urlsplit(address).netloc
        if host not in ("", "localhost"):
            raise ValueError(
                f"a file on another machine ({host}); "
                "write file:///absolute/path or file:relative/path"
            )
        return Path(unquote(address.split(":", 1)[1].removeprefix(f"//{host}")))
    if scheme and ("://" in address or scheme[1].lower() in ("http", "https")):
        return None
    return Path(address).expanduser()


def _hide_parameter(found: re.Match) -> str:
    separator, name, value = found.groups()
    plain = re.sub(r"[^a-z0-9]", "", unquote_plus(name).lower())
    if _SECRET.search(plain):
        return f"{separator}{name}={HIDDEN}"
    inner = _PARAMETER.sub(_hide_parameter, value)  # after a semicolon
    if "%" in value and hide(unquote(value)) != unquote(value):
        inner = HIDDEN
    return f"{separator}{name}={inner}"


def _of_environment() -> list[tuple[str, str]]:
    """What the environment holds of secrets, and what is shown instead."""
    tokens = (os.environ.get(name, "").strip() for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    found = [(token, HIDDEN) for token in tokens if len(token) >= 8]
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy" and "@" in value:
            user = value.rpartition("@")[0].rpartition("//")[2]
            found.append((f"{user}@", f"{HIDDEN}@"))
    return found
