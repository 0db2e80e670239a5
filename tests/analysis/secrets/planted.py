"""Made-up secrets of every kind, each anew from random characters, and the forms in which programs hold them.

Nothing here is a secret, and no text is written out as a whole: prefixes and bodies come together only when a test runs.
"""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from collections.abc import Callable
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

_ALPHANUMERIC = string.ascii_letters + string.digits
_HEXADECIMAL = "0123456789abcdef"
_BASE32 = string.ascii_uppercase + "234567"
_URL_SAFE = _ALPHANUMERIC + "-_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LONG = 20_000
_FILLER = "The quick brown fox jumps over the lazy dog; "

Maker = Callable[["Random"], str]
Form = Callable[[str], str]
KeyedForm = Callable[[str, str], str]


class Random(random.Random):
    """Random characters of the alphabets that secrets are made of."""

    def of(self, alphabet: str, length: int) -> str:
        """Random characters, at least one of them a digit where the alphabet has digits: real ones have some."""
        while True:
            text = "".join(self.choices(alphabet, k=length))
            if length < 8 or alphabet.isalpha() or any(one.isdigit() for one in text):
                return text

    def word(self, length: int) -> str:
        return self.of(_ALPHANUMERIC, length)

    def hexadecimal(self, length: int) -> str:
        return self.of(_HEXADECIMAL, length)

    def safe(self, length: int) -> str:
        return self.of(_URL_SAFE[:-2], 1) + self.of(_URL_SAFE, length - 2) + self.of(_URL_SAFE[:-2], 1)

    def base64(self, size: int) -> str:
        return base64.b64encode(self.randbytes(size)).decode()

    def password(self) -> str:
        return (
            self.of(string.ascii_lowercase, 4)
            + self.of("!#*-_", 1)
            + self.of(string.ascii_uppercase, 3)
            + self.of(string.digits, 3)
        )


def _checked(prefix: str, body: str) -> str:
    """A token whose last six characters are the CRC-32 of the others."""
    number, digits = zlib.crc32(body.encode()), ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return prefix + body + digits.rjust(6, "0")


def _web_token(r: Random) -> str:
    parts = [
        json.dumps({"alg": "RS256", "typ": "JWT", "kid": r.word(6)}),
        json.dumps({"sub": r.word(10), "exp": r.randint(1, 2**31)}),
    ]
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, r.safe(86)])


def _card(r: Random) -> str:
    digits = "4" + r.of(string.digits, 14)
    total = sum(sum(divmod(2 * int(one), 10)) if place % 2 == 0 else int(one) for place, one in enumerate(digits))
    number = digits + str(-total % 10)
    return number if r.random() < 0.5 else r.choice(" -").join(number[at : at + 4] for at in range(0, 16, 4))


def _account(r: Random) -> str:
    body = r.of(string.digits, 18)
    check = 98 - int(body + "131400") % 97
    number = f"DE{check:02d}{body}"
    return number if r.random() < 0.5 else " ".join(number[at : at + 4] for at in range(0, 22, 4))


def _pem(r: Random, name: str) -> str:
    lines = "\n".join(r.base64(48) for _ in range(4))
    return "\n".join(["-----BEGIN " + name + "-----", lines, "-----END " + name + "-----"])


def _host(r: Random) -> str:
    return f"db-{r.of(string.ascii_lowercase, 5)}.example.test"


def _address(scheme: str, port: int) -> Maker:
    return lambda r: f"{scheme}://app:{r.password()}@{_host(r)}:{port}/shop"


#: Kind -> what makes a text that holds one secret of that kind.
MADE: dict[str, Maker] = {
    "AWS access key id": lambda r: r.choice(["AK", "AS"]) + "IA" + r.of(_BASE32, 16),
    "AWS session token": lambda r: "IQoJb3Jp" + "Z2lu" + r.base64(240),
    "Google API key": lambda r: "AI" + "za" + r.safe(35),
    "Google OAuth access token": lambda r: "ya" + "29." + r.safe(120),
    "Google OAuth client secret": lambda r: "GOC" + "SPX-" + r.safe(28),
    "Azure storage account key":
        lambda r: f"DefaultEndpointsProtocol=https;AccountName={r.word(8)};Account" + f"Key={r.base64(64)};EndpointSuffix=a.test",
    "Azure shared access key":
        lambda r: f"Endpoint=sb://{r.word(6)}.example.test/;SharedAccessKeyName=Root;SharedAccess" + f"Key={r.base64(32)}",
    "Azure shared access signature":
        lambda r: f"https://{r.word(6)}.example.test/box?sv=2024-11-04&sr=b&s" + f"ig={quote(r.base64(32), safe='')}&se=2027",
    "Azure client secret": lambda r: r.word(3) + "8" + "Q~" + r.safe(34),
    "Azure DevOps access token": lambda r: r.word(76) + "AZ" + "DO" + r.word(4),
    "Azure App Configuration secret":
        lambda r: f"Endpoint=https://{r.word(6).lower()}.azconfig.io;Id={r.word(8)}:{r.word(10)};Sec" + f"ret={r.base64(64)}",
    "DigitalOcean token": lambda r: "dop_" + "v1_" + r.hexadecimal(64),
    "Alibaba Cloud access key id": lambda r: "LT" + "AI5t" + r.word(18),
    "HashiCorp Vault token": lambda r: "hv" + "s.CAES" + r.safe(90),
    "Terraform Cloud token": lambda r: r.word(14) + ".atlas" + "v1." + r.word(67),
    "Databricks token": lambda r: "da" + "pi" + r.hexadecimal(32),
    "Grafana token": lambda r: "gl" + "sa_" + r.word(32) + "_" + r.hexadecimal(8),
    "New Relic key": lambda r: "NR" + "AK-" + r.of(string.ascii_uppercase + string.digits, 27),
    "Sentry key": lambda r: f"https://{r.hexadecimal(32)}@o{r.randint(1, 99999)}.ingest.sentry.example/{r.randint(1, 99999)}",
    "OpenAI key": lambda r: "sk-" + "proj-" + r.safe(60) + "T3Blbk" + "FJ" + r.safe(60),
    "Anthropic key": lambda r: "sk-" + "ant-api03-" + r.safe(93),
    "Hugging Face token": lambda r: "h" + "f_" + r.of(string.ascii_letters, 34),
    "GitHub token": lambda r: _checked(r.choice(["ghp", "gho", "ghs"]) + "_", r.word(30)),
    "GitHub fine-grained token": lambda r: "github_" + "pat_" + r.word(22) + "_" + r.word(59),
    "GitLab token": lambda r: "gl" + "pat-" + r.safe(20),
    "Atlassian token": lambda r: "ATA" + "TT3xFfGF0" + r.safe(170),
    "npm token": lambda r: _checked("np" + "m_", r.word(30)),
    "PyPI token": lambda r: "py" + "pi-AgEIcHlwaS5vcmc" + r.safe(130),
    "NuGet key": lambda r: "oy" + "2" + r.of(string.ascii_lowercase + string.digits, 43),
    "Docker Hub token": lambda r: "dckr_" + "pat_" + r.safe(27),
    "RubyGems key": lambda r: "ruby" + "gems_" + r.hexadecimal(48),
    "Slack token": lambda r: "xo" + f"xb-{r.of(string.digits, 12)}-{r.of(string.digits, 12)}-" + r.word(24),
    "Slack app token": lambda r: "xa" + "pp-1-A" + r.of(_BASE32, 10) + "-" + r.of(string.digits, 13) + "-" + r.hexadecimal(64),
    "Slack webhook": lambda r: "https://hooks.slack" + f".com/services/T{r.of(_BASE32, 8)}/B{r.of(_BASE32, 8)}/{r.word(24)}",
    "Discord webhook": lambda r: "https://discord.com/api/web" + f"hooks/{r.of('123456789', 18)}/{r.safe(68)}",
    "Teams webhook":
        lambda r: "https://a.webhook.office.com/webhook" + f"b2/{r.word(36)}@{r.word(36)}/IncomingWebhook/{r.hexadecimal(32)}/x",
    "Telegram bot token": lambda r: r.of("123456789", 10) + ":A" + "A" + r.safe(33),
    "SendGrid key": lambda r: "S" + "G." + r.safe(22) + "." + r.safe(43),
    "Mailgun key": lambda r: "ke" + "y-" + r.hexadecimal(32),
    "Mailchimp key": lambda r: r.hexadecimal(32) + "-u" + f"s{r.randint(1, 21)}",
    "Brevo key": lambda r: "xkey" + "sib-" + r.hexadecimal(64) + "-" + r.word(16),
    "Stripe key": lambda r: "s" + "k_live_" + r.word(r.choice([24, 99])),
    "Stripe webhook secret": lambda r: "wh" + "sec_" + r.word(32),
    "Square token": lambda r: "sq0" + "atp-" + r.safe(22),
    "Braintree access token": lambda r: "access_" + f"token$production${r.of(string.ascii_lowercase, 16)}${r.hexadecimal(32)}",
    "Shopify token": lambda r: "shp" + "at_" + r.hexadecimal(32),
    "payment card number": _card,
    "bank account (IBAN)": _account,
    "private key (PEM)": lambda r: _pem(r, r.choice(["", "RSA ", "EC ", "OPENSSH "]) + "PRIVATE" + " KEY"),
    "private key (PGP)": lambda r: _pem(r, "PGP PRIVATE" + " KEY BLOCK"),
    "private key (PuTTY)": lambda r: "PuTTY-User-Key" + f"-File-3: ssh-ed25519\nEncryption: none\n{r.base64(60)}",
    "private key (age)": lambda r: "AGE-SECRET-" + "KEY-1" + r.of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "private key (RSA as XML)":
        lambda r: f"<RSAKeyValue><Modulus>{r.base64(256)}</Modulus><D" + f">{r.base64(256)}</D></RSAKeyValue>",
    "private key (JSON Web Key)": lambda r: '{"kty":"EC","crv":"P-256","x":"' + r.safe(43) + '","d' + f'":"{r.safe(43)}"}}',
    "ASP.NET machine key":
        lambda r: f'<machineKey validationKey="{r.hexadecimal(128).upper()}" decryption' + f'Key="{r.hexadecimal(64)}" />',
    "ASP.NET data protection key":
        lambda r: '<key><masterKey p4:requiresEncryption="true"><value' + f">{r.base64(64)}</value></masterKey></key>",
    "ASP.NET protected cookie or token": lambda r: "Cf" + "DJ8" + r.safe(300),
    "SQL Server connection string":
        lambda r: f"Server=tcp:{_host(r)},1433;Initial Catalog=shop;User ID=app;Pass" + f"word={r.password()};Encrypt=True",
    "MySQL connection string": lambda r: f"Server={_host(r)};Port=3306;Uid=app;P" + f"wd={r.password()};SslMode=Required",
    "PostgreSQL connection string": lambda r: f"Host={_host(r)};Username=app;Pass" + f"word={r.password()};Pooling=true",
    "Oracle connection string": lambda r: "User Id=app;Pass" + f"word={r.password()};Data Source={_host(r)}:1521/SHOP",
    "Redis connection string": lambda r: f"{_host(r)}:6380,pass" + f"word={r.word(43)},ssl=True,abortConnect=False",
    "connection string": lambda r: "Driver=Custom;Dsn=shop;Uid=app;P" + f"wd={r.password()};",
    "PostgreSQL address": _address("postgresql", 5432),
    "MySQL address": _address("mysql", 3306),
    "SQL Server address": _address("sqlserver", 1433),
    "MongoDB address": _address("mongodb+srv", 27017),
    "Redis address": lambda r: f"rediss://:{r.word(20)}@{_host(r)}:6380/0",
    "AMQP address": _address("amqps", 5671),
    "address with a password": _address("https", 8443),
    "JSON Web Token": _web_token,
    "bearer token": lambda r: "Bear" + f"er {r.safe(40)}",
    "basic authentication": lambda r: "Bas" + "ic " + base64.b64encode(f"app:{r.password()}".encode()).decode(),
    "password on a command line": lambda r: f"mysqldump --host {_host(r)} --pass" + f"word {r.password()} shop",
    "password in SQL": lambda r: "CREATE USER app IDENTI" + f"FIED BY '{r.password()}'",
    "common password": lambda r: r.choice(["P@ss", "Pa$$", "Pass"]) + "w0rd" + r.of("!1#", 2),
    "e-mail address": lambda r: f"{r.of(string.ascii_lowercase, 6)}.{r.of(string.ascii_lowercase, 7)}@{_host(r)}",
    "telephone number": lambda r: r.choice(["+1-202-555-0", "+49 30 9018 2", "+44 20 7946 0"]) + r.of(string.digits, 3),
    "US social security number": lambda r: f"{r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
}  # fmt: skip

#: Kind -> a name, and what makes the value that stands behind it.
KEYED: dict[str, tuple[str, Maker]] = {
    "AWS secret access key": ("aws_secret_access_key", lambda r: r.of(_ALPHANUMERIC + "/+", 40)),
    "API key in a header": ("X-Api-Key", lambda r: r.word(32)),
    "session id": ("sessionid", lambda r: r.word(32).lower()),
    "password in a setting": ("password", lambda r: r.password()),
    "secret in a setting": ("client_secret", lambda r: r.word(32)),
    "key in a setting": ("apiKey", lambda r: r.word(32)),
    "token in a setting": ("refresh_token", lambda r: r.safe(48)),
}

#: 25 surroundings of a text.
FORMS: dict[str, Form] = {
    "alone": lambda t: t,
    "JSON": lambda t: json.dumps({"id": 7, "value": t, "on": True}),
    "JSON in JSON": lambda t: json.dumps({"body": json.dumps({"value": t})}),
    "query": lambda t: f"https://shop.example.test/find?page=2&value={t}&sort=up",
    "header": lambda t: f"Host: shop.example.test\r\nX-Value: {t}\r\nAccept: */*\r\n",
    "environment": lambda t: f"export SHOP_VALUE={t}",
    "INI": lambda t: f"[shop]\nvalue = {t}\nnext = 1",
    "YAML": lambda t: f"shop:\n  value: {t}\n  next: 1",
    "double quotes": lambda t: f'the value "{t}" was read',
    "single quotes": lambda t: f"the value '{t}' was read",
    "backquotes": lambda t: f"run `{t}` now",
    "brackets": lambda t: f"the value ({t}) was read",
    "XML element": lambda t: f"<shop><value>{escape(t)}</value></shop>",
    "XML attribute": lambda t: f"<shop value={quoteattr(t)} next='1'/>",
    "CSV": lambda t: f"1;{t};2026-11-30",
    "log line": lambda t: f"2026-11-30 02:00:22.123 +00:00 [INF] Shop.Orders: read {t} from file",
    "lines": lambda t: f"first line\n{t}\nlast line",
    "Windows lines": lambda t: f"first line\r\n{t}\r\nlast line",
    "long before": lambda t: _FILLER * (_LONG // len(_FILLER)) + t,
    "long behind": lambda t: t + " " + _FILLER * (_LONG // len(_FILLER)),
    "tabs": lambda t: f"a\t{t}\tb",
    "sentence": lambda t: f"It is {t}.",
    "code": lambda t: f"var value = {json.dumps(t)};",
    "HTML": lambda t: f"<p title=&quot;{escape(t)}&quot;>",
    "other scripts": lambda t: f"Значение «{t}» — 値 🙂",
}

#: 25 ways to write a name and its value.
KEYED_FORMS: dict[str, KeyedForm] = {
    "equals": lambda k, v: f"{k}={v}",
    "JSON": lambda k, v: json.dumps({"id": 7, k: v, "on": True}),
    "dense JSON": lambda k, v: json.dumps({k: v}, separators=(",", ":")),
    "JSON in JSON": lambda k, v: json.dumps({"body": json.dumps({k: v})}),
    "query": lambda k, v: f"https://shop.example.test/login?user=7&{k}={v}&next=%2F",
    "form": lambda k, v: f"grant_type=client&{k}={v}",
    "upper case": lambda k, v: f"SHOP_{k.upper()}={v}",
    "lower case": lambda k, v: f"{k.lower()}={v}",
    "export": lambda k, v: f'export {k.upper()}="{v}"',
    "INI": lambda k, v: f"[shop]\n{k} = {v}\nnext = 1",
    "YAML": lambda k, v: f"shop:\n  {k}: {v}\n  next: 1",
    "quoted YAML": lambda k, v: f'{k}: "{v}"',
    "XML element": lambda k, v: f"<shop><{k}>{v}</{k}></shop>",
    "XML attribute": lambda k, v: f'<shop {k}="{v}" next="1"/>',
    "application setting": lambda k, v: f'<add key="{k}" value="{v}" />',
    "Python": lambda k, v: f"{{'{k}': '{v}', 'on': True}}",
    "code": lambda k, v: f'var {k} = "{v}";',
    "arrow": lambda k, v: f"'{k}' => '{v}',",
    "percent-encoded": lambda k, v: f"state={k}%3D{v}%26next",
    "HTML": lambda k, v: f"{{&quot;{k}&quot;:&quot;{v}&quot;}}",
    "lines": lambda k, v: f"first line\n{k}={v}\nlast line",
    "long before": lambda k, v: _FILLER * (_LONG // len(_FILLER)) + f"{k}={v}",
    "long behind": lambda k, v: f"{k}={v}; " + _FILLER * (_LONG // len(_FILLER)),
    "section": lambda k, v: f"Shop:Orders:{k}={v}",
    "header": lambda k, v: f"Host: shop.example.test\r\n{k}: {v}\r\nAccept: */*\r\n",
}


def planted(seed: int) -> list[tuple[str, str, str]]:
    """(kind, form, text) for every kind in each of its 25 forms."""
    r = Random(seed)
    made = [(kind, form, shape(make(r))) for kind, make in MADE.items() for form, shape in FORMS.items()]
    keyed = [(kind, form, shape(key, make(r))) for kind, (key, make) in KEYED.items() for form, shape in KEYED_FORMS.items()]
    return [*made, *keyed]
