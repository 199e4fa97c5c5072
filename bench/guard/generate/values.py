"""Made-up values of every type, with the check digits that real ones have."""
import hashlib
import string

B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
B32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "_-"
HEX = "0123456789abcdef"


def pick(r, alphabet, count):
    return "".join(r.choice(alphabet) for _ in range(count))


def digits(r, count, first="0123456789"):
    return r.choice(first) + pick(r, string.digits, count - 1)


def luhn_digit(body):
    total = 0
    for index, char in enumerate(reversed(body)):
        value = int(char) * (2 if index % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


def groups(text, sizes, separator):
    out, at = [], 0
    for size in sizes:
        out.append(text[at:at + size])
        at += size
    return separator.join(part for part in out if part)


# ---- people

VI_LAST = "Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý Trịnh Đinh Mai Tạ Cao Lâm Châu Quách".split()
VI_MID = "Văn Thị Hữu Đức Minh Ngọc Quốc Thanh Xuân Bảo Kim Anh Hoài Tuấn Gia Khánh Thu Phương Công Nhật".split()
VI_GIVEN = "An Bình Chi Dũng Giang Hà Hải Hạnh Hiền Hùng Huyền Khoa Lan Linh Long Mai Nam Ngân Nhung Oanh Phúc Quân Quỳnh Sơn Tâm Thảo Thắng Trang Trung Tú Uyên Vân Vinh Yến Đạt Ánh Ý Ước".split()
EN_FIRST = "Olivia Liam Emma Noah Ava Ethan Sophia Mason Isabella Logan Mia Lucas Amelia Owen Harper Caleb Evelyn Wyatt Nora Felix Grace Hugo Ivy Jonah Priya Rahul Fatima Omar Chinedu Siobhan".split()
EN_LAST = "Whitaker Delgado Okafor Brennan Castellano Hargreaves Lindqvist Novak O'Connor McAllister Fitzgerald Sandoval Petrov Yamada Iyer Bianchi Thornton Ellison-Reyes Kowalski Abernathy Driscoll Huang Mbeki Rossi".split()
DE_FIRST = "Jürgen Sabine Matthias Heike Björn Annika Lukas Petra Käthe Thorsten Anneliese Rüdiger".split()
DE_LAST = "Schröder Müller-Lüdenscheidt Krause Vogel Zimmermann Böhm Lehmann Kaiser Hofmann Weiß Jäger Brandt".split()
FR_FIRST = "Élodie Thibault Mathilde Gaëlle Jean-Luc Océane Bertrand Solène Rémi Aurélie Hélène Étienne".split()
FR_LAST = "Lefèvre Garnier Rousseau Delacroix Moreau Chevalier Fontaine Dubois Mercier Guérin Perrin Leclerc".split()
ES_FIRST = "Lucía Alejandro Carmen Íñigo Marisol Joaquín Pilar Sebastián Ximena Rodrigo Inés Álvaro".split()
ES_LAST = "Fernández Ibáñez Castillo Ortega Navarro Muñoz Serrano Peña Domínguez Vargas Cano Herrera".split()
PT_FIRST = "João Mariana Thiago Letícia Gonçalo Beatriz Rafael Inês Otávio Lívia Vinícius Conceição".split()
PT_LAST = "Figueiredo Carvalho Nascimento Azevedo Tavares Brandão Magalhães Pires Rocha Teixeira Moura Assunção".split()
ZH_LAST = "王李张刘陈杨黄赵吴周孙马朱胡郭林何高罗郑"
ZH_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰辉建国文"
JA_LAST = "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 松本 井上 木村 清水".split()
JA_GIVEN = "翔太 美咲 大輔 陽子 健一 結衣 拓也 真由美 直樹 恵子 和也 彩花".split()


def person(r, lang):
    if lang == "vi":
        middle = " ".join(r.sample(VI_MID, r.choice([0, 1, 1, 1, 2])))
        return " ".join(filter(None, [r.choice(VI_LAST), middle, r.choice(VI_GIVEN)]))
    if lang == "zh":
        return r.choice(ZH_LAST) + pick(r, ZH_GIVEN, r.choice([1, 2, 2]))
    if lang == "ja":
        return r.choice(JA_LAST) + r.choice(["", "", " "]) + r.choice(JA_GIVEN)
    first, last = {"de": (DE_FIRST, DE_LAST), "fr": (FR_FIRST, FR_LAST), "es": (ES_FIRST, ES_LAST),
                   "pt": (PT_FIRST, PT_LAST)}.get(lang, (EN_FIRST, EN_LAST))
    middle = r.choice(["", "", "", "", " " + r.choice("ABCDEJKMR") + "."])
    return r.choice(first) + middle + " " + r.choice(last)


# ---- contact

DOMAINS = "gmail.com outlook.com yahoo.co.uk proton.me acme-widgets.io mail.hcmut.edu.vn vietbank.com.vn firma-beispiel.de laposte.net correo.es uol.com.br 126.com ezweb.ne.jp students.uni-muenchen.de ops.internal.corp.net fastmail.fm city.gov.au zeta.technology".split()


def email(r):
    first, last = r.choice(EN_FIRST).lower(), r.choice(EN_LAST).lower().replace("'", "")
    local = r.choice([f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{digits(r, 2)}", f"{last}{digits(r, 4)}",
                      f"{first}+{r.choice(['news', 'shop', 'test1'])}", f"{first}-{last}", "billing", "no-reply", f"{first}.{last[0]}"])
    text = f"{local}@{r.choice(DOMAINS)}"
    return text.upper() if r.random() < 0.05 else text


def us_number(r):
    area = digits(r, 3, "23456789")
    while area[1:] == "11":
        area = digits(r, 3, "23456789")
    return area, digits(r, 3, "23456789").replace("11", "34"), digits(r, 4)


def phone_strong(r):
    """A number whose form says that it is one."""
    a, b, c = us_number(r)
    vn = r.choice(["03" + r.choice("23456789"), "05" + r.choice("2689"), "07" + r.choice("06789"), "08" + r.choice("12345689"), "09" + pick(r, string.digits, 1)])
    rest = digits(r, 7)
    return r.choice([
        ("us", f"({a}) {b}-{c}"), ("us", f"{a}-{b}-{c}"), ("us", f"{a}.{b}.{c}"), ("us", f"+1 {a} {b} {c}"), ("us", f"+1-{a}-{b}-{c}"), ("us", f"1-{a}-{b}-{c}"),
        ("e164", f"+1{a}{b}{c}"), ("e164", f"+84{vn[1:]}{rest}"), ("e164", f"+49151{digits(r, 8)}"), ("e164", f"+3361{digits(r, 7)}"), ("e164", f"+447{digits(r, 9)}"),
        ("intl", f"+84 {vn[1:]} {rest[:3]} {rest[3:]}"), ("intl", f"+44 20 {digits(r, 4, '3478')} {digits(r, 4)}"), ("intl", f"+49 30 {digits(r, 4)} {digits(r, 4)}"),
        ("intl", f"+33 6 {digits(r, 2)} {digits(r, 2)} {digits(r, 2)} {digits(r, 2)}"), ("intl", f"+34 6{digits(r, 2)} {digits(r, 3)} {digits(r, 3)}"),
        ("intl", f"+55 11 9{digits(r, 4)}-{digits(r, 4)}"), ("intl", f"+81 90-{digits(r, 4)}-{digits(r, 4)}"), ("intl", f"+86 13{digits(r, 1)} {digits(r, 4)} {digits(r, 4)}"),
        ("intl", f"+91 9{digits(r, 4)} {digits(r, 5)}"), ("intl", f"+61 4{digits(r, 2)} {digits(r, 3)} {digits(r, 3)}"), ("intl", f"+65 9{digits(r, 3)} {digits(r, 4)}"),
        ("intl", f"+82 10-{digits(r, 4)}-{digits(r, 4)}"), ("intl", f"+39 33{digits(r, 1)} {digits(r, 3)} {digits(r, 4)}"), ("intl", f"+44 (0)161 {digits(r, 3)} {digits(r, 4)}"),
        ("vn_mobile", f"{vn}{rest[0]} {rest[1:4]} {rest[4:]}"), ("vn_mobile", f"{vn}{rest[0]}.{rest[1:4]}.{rest[4:]}"), ("vn_mobile", f"{vn} {rest[:3]} {rest[3:]}"), ("vn_mobile", f"{vn}{rest[0]}-{rest[1:4]}-{rest[4:]}"),
        ("vn_bare", vn + rest), ("vn_bare", vn + rest), ("vn_bare", vn + rest),
        ("vn_land", f"(024) {digits(r, 4, '367')} {digits(r, 4)}"), ("vn_land", f"028 {digits(r, 4, '367')} {digits(r, 4)}"), ("vn_land", f"024.{digits(r, 4, '367')}.{digits(r, 4)}"),
        ("fr", f"0{digits(r, 1, '1234567')} {digits(r, 2)} {digits(r, 2)} {digits(r, 2)} {digits(r, 2)}"), ("fr", f"06.{digits(r, 2)}.{digits(r, 2)}.{digits(r, 2)}.{digits(r, 2)}"),
        ("jp", f"090-{digits(r, 4)}-{digits(r, 4)}"), ("jp", f"03-{digits(r, 4, '3456')}-{digits(r, 4)}"), ("cn", f"13{digits(r, 1)}-{digits(r, 4)}-{digits(r, 4)}"), ("cn", f"15{digits(r, 1)} {digits(r, 4)} {digits(r, 4)}"),
        ("uk", f"07{digits(r, 3)} {digits(r, 6)}"), ("de", f"0171 {digits(r, 7)}"),
    ])


def phone_weak(r):
    """A number that needs a word before it."""
    a, b, c = us_number(r)
    return r.choice([("us_bare", a + b + c), ("us_bare", a + b + c), ("cn_bare", f"13{digits(r, 9)}"), ("cn_bare", f"18{digits(r, 9)}"),
                     ("de_bare", f"0151{digits(r, 8)}"), ("fr_bare", f"06{digits(r, 8)}"), ("es", f"6{digits(r, 2)} {digits(r, 3)} {digits(r, 3)}"),
                     ("es_bare", f"6{digits(r, 8)}"), ("br", f"(11) 9{digits(r, 4)}-{digits(r, 4)}"), ("in_bare", f"98{digits(r, 8)}"), ("de_land", f"030 {digits(r, 7, '12345678')}"), ("de_slash", f"089/{digits(r, 7, '12345678')}")])


def ipv4(r):
    while True:
        text = ".".join(str(r.randint(1, 254)) for _ in range(4))
        if not text.startswith("127."):
            return text


def ipv6(r):
    part = lambda: format(r.randint(1, 65535), "x")
    return r.choice([f"2001:db8:{part()}::{part()}", f"fe80::{part()}:{part()}:{part()}:{part()}", ":".join(["2a02"] + [part() for _ in range(7)]),
                     f"2606:4700:{part()}:{part()}::{part()}", f"fd{pick(r, HEX, 2)}:{part()}:{part()}::1", f"::ffff:{ipv4(r)}"])


# ---- numbers

CARDS = {"visa": ("4", 16), "mc": ("52", 16), "mc2": ("2345", 16), "amex": ("37", 15), "disc": ("6011", 16), "jcb": ("3541", 16),
         "diners": ("3600", 14), "upay": ("6225", 16), "napas": ("970436", 16), "napas19": ("970422", 19), "visa_old": ("4", 13), "maestro": ("6759", 16)}


def card(r, valid=True):
    brand = r.choice(list(CARDS)[:10] * 3 + list(CARDS))
    prefix, length = CARDS[brand]
    body = prefix + pick(r, string.digits, length - len(prefix) - 1)
    check = luhn_digit(body)
    number = body + (check if valid else str((int(check) + r.randint(1, 9)) % 10))
    sizes = {15: [4, 6, 5], 14: [4, 6, 4], 16: [4] * 4, 19: [4, 4, 4, 4, 3], 13: [13]}[length]
    form = r.choice(["plain", "plain", "space", "space", "dash", "nbsp", "endash"])
    separator = {"plain": "", "space": " ", "dash": "-", "nbsp": "\u00a0", "endash": "\u2013"}[form]
    return brand, groups(number, sizes, separator)


BBAN = {"DE": "n18", "FR": "n10a11n2", "ES": "n20", "IT": "A1n10a12", "NL": "A4n10", "GB": "A4n14", "BE": "n12", "AT": "n16", "CH": "n5a12", "PT": "n21", "PL": "n24",
        "SE": "n20", "NO": "n11", "DK": "n14", "FI": "n14", "IE": "A4n14", "CZ": "n20", "HU": "n24", "RO": "A4a16", "GR": "n7a16", "LU": "n3a13", "AE": "n19", "SA": "n2a18", "TR": "n6a16", "BR": "n23A1a1", "MT": "A4n5a18"}


def iban(r, valid=True):
    country = r.choice(list(BBAN))
    body, spec = "", BBAN[country]
    while spec:
        kind, spec = spec[0], spec[1:]
        count = ""
        while spec and spec[0].isdigit():
            count, spec = count + spec[0], spec[1:]
        body += pick(r, {"n": string.digits, "A": string.ascii_uppercase, "a": string.digits + string.ascii_uppercase}[kind], int(count))
    number = "".join(str(int(c, 36)) for c in body + country + "00")
    check = 98 - int(number) % 97
    if not valid:
        check = (check - 2 + r.randint(1, 94)) % 97 + 2
    text = f"{country}{check:02d}{body}"
    if r.random() < 0.45:
        text = groups(text, [4] * 9, r.choice([" ", " ", " ", "\u00a0"]))
    return country, text


def ssn(r, form=None):
    area = r.choice([n for n in range(1, 900) if n != 666])
    form = form or r.choice(["dash", "dash", "dash", "space", "bare"])
    separator = {"dash": "-", "space": " ", "bare": ""}[form]
    return form, separator.join([f"{area:03d}", f"{r.randint(1, 99):02d}", f"{r.randint(1, 9999):04d}"])


def cmnd(r):
    number = r.choice(["0", "1", "2", "3"]) + digits(r, 8)
    form = r.choice(["plain", "plain", "plain", "spaced", "dotted"])
    return form, groups(number, [3, 3, 3], {"plain": "", "spaced": " ", "dotted": "."}[form])


PROVINCES = "001 002 004 006 008 010 011 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 042 044 045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 086 087 089 091 092 093 094 095 096".split()


def cccd(r):
    number = r.choice(PROVINCES) + r.choice("0123") + digits(r, 2) + digits(r, 6)
    form = r.choice(["plain", "plain", "plain", "spaced"])
    return form, number if form == "plain" else groups(number, r.choice([[3, 3, 3, 3], [4, 4, 4]]), " ")


def passport(r):
    up = string.ascii_uppercase
    return r.choice([("vn", r.choice("BCKNPQ") + digits(r, 7)), ("vn", r.choice("BCKNPQ") + digits(r, 7)), ("us9", digits(r, 9, "123456789")), ("usl", r.choice("AXZ") + digits(r, 8)),
                     ("de", "C" + pick(r, "CFGHJKLMNPRTVWXYZ0123456789", 7) + digits(r, 1)), ("fr", digits(r, 2) + pick(r, up, 2) + digits(r, 5)), ("uk", digits(r, 9, "12345")),
                     ("cn", r.choice(["E", "G", "EJ"]) + digits(r, 8)), ("jp", pick(r, up, 2) + digits(r, 7)), ("in", r.choice("JKLMNPRSTUVZ") + digits(r, 7)), ("es", pick(r, up, 3) + digits(r, 6)), ("br", pick(r, up, 2) + digits(r, 6))])


MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split(),
}


def date(r, lang, years=(1935, 2012)):
    year, month, day = r.randint(*years), r.randint(1, 12), r.randint(1, 28)
    choices = [f"{day:02d}/{month:02d}/{year}", f"{year}-{month:02d}-{day:02d}", f"{day:02d}.{month:02d}.{year}", f"{day:02d}-{month:02d}-{year}"]
    if lang == "vi":
        choices += [f"{day}/{month}/{year}", f"{day} tháng {month} năm {year}", f"{day} tháng {month}, {year}"]
    elif lang in ("zh", "ja"):
        choices = [f"{year}年{month}月{day}日"] * 3 + [f"{year}-{month:02d}-{day:02d}", f"{year}/{month:02d}/{day:02d}"]
    elif lang in MONTHS:
        name = MONTHS[lang][month - 1]
        if lang == "en":
            suffix = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
            choices += [f"{name} {day}, {year}", f"{day} {name} {year}", f"{name[:3]} {day}, {year}", f"{day} {name[:3]} {year}", f"{name} {day}{suffix}, {year}", f"{month}/{day}/{year}", f"{day}{suffix} of {name} {year}", f"{day:02d}-{name[:3]}-{year}"]
        elif lang == "de":
            choices += [f"{day}. {name} {year}"] * 3
        elif lang == "fr":
            choices += [f"{day if day > 1 else '1er'} {name} {year}"] * 3
        else:
            choices += [f"{day} de {name} de {year}"] * 3
    return r.choice(choices)


# ---- secrets

def api_key(r):
    up = string.ascii_uppercase + string.digits
    jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiI" + pick(r, ALNUM, 30) + "." + pick(r, URLSAFE, 42) + pick(r, ALNUM, 1)
    end = lambda alphabet, count: pick(r, alphabet, count - 1) + pick(r, ALNUM, 1)
    return r.choice([
        ("openai", "sk-" + pick(r, ALNUM, 20) + "T3BlbkFJ" + pick(r, ALNUM, 20)), ("openai_proj", "sk-proj-" + end(URLSAFE, 74) + "T3BlbkFJ" + end(URLSAFE, 74)),
        ("anthropic", "sk-ant-api03-" + end(URLSAFE, 93) + "AA"), ("aws", r.choice(["AKIA", "ASIA"]) + pick(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        ("ghp", "ghp_" + pick(r, ALNUM, 36)), ("gho", "gho_" + pick(r, ALNUM, 36)), ("ghs", "ghs_" + pick(r, ALNUM, 36)), ("github_pat", "github_pat_" + pick(r, ALNUM, 22) + "_" + pick(r, ALNUM, 59)), ("gitlab", "glpat-" + end(URLSAFE, 20)),
        ("google", "AIza" + end(URLSAFE, 35)), ("groq", "gsk_" + pick(r, ALNUM, 52)), ("hf", "hf_" + pick(r, string.ascii_letters, 34)), ("jwt", jwt), ("jwt", jwt), ("npm", "npm_" + pick(r, ALNUM, 36)),
        ("openrouter", "sk-or-v1-" + pick(r, HEX, 64)), ("pypi", "pypi-AgEIcHlwaS5vcmc" + end(URLSAFE, 150)), ("sendgrid", "SG." + end(URLSAFE, 22) + "." + end(URLSAFE, 43)), ("shopify", "shpat_" + pick(r, HEX, 32)),
        ("slack_bot", f"xoxb-{digits(r, 12, '123456789')}-{digits(r, 13, '123456789')}-" + pick(r, ALNUM, 24)), ("slack_app", f"xapp-1-A{pick(r, up, 10)}-{digits(r, 13)}-" + pick(r, HEX, 64)),
        ("slack_webhook", f"https://hooks.slack.com/services/T{pick(r, up, 8)}/B{pick(r, up, 10)}/" + pick(r, ALNUM, 24)), ("stripe", r.choice(["sk_live_", "sk_test_", "rk_live_"]) + pick(r, ALNUM, 24)),
        ("telegram", digits(r, 10, "123456789") + ":AA" + end(URLSAFE, 33)), ("digitalocean", "dop_v1_" + pick(r, HEX, 64)), ("xai", "xai-" + pick(r, ALNUM, 80)), ("replicate", "r8_" + pick(r, ALNUM, 37)),
    ])


def opaque(r):
    """A key that nothing but its name tells."""
    return r.choice([pick(r, HEX, 32), pick(r, HEX, 40), pick(r, ALNUM, 32), pick(r, ALNUM, 40), pick(r, HEX, 64)]) + r.choice("0123456789")


def password(r):
    word = r.choice("Sunrise Monsoon Falcon Anhyeu Schnee Paris hanoi dragon Merlin copper Tulip Bodega".split())
    return r.choice([f"{word}{digits(r, 3)}!", f"{word}@{digits(r, 4)}", f"{word[0]}{pick(r, ALNUM, 9)}{r.choice('!#$%&*')}{digits(r, 2)}", f"{word}-{r.choice('xqz')}{digits(r, 2)}-{pick(r, ALNUM, 4)}{digits(r, 1)}", f"{word.lower()}_{pick(r, ALNUM, 6)}{digits(r, 1)}", pick(r, ALNUM, 11) + digits(r, 1) + r.choice(string.ascii_uppercase)])


def pem(r):
    label = r.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    lines = [pick(r, ALNUM + "+/", 64) for _ in range(r.randint(3, 7))] + [pick(r, ALNUM, 40) + "=="]
    separator = r.choice(["\n", "\n", "\n", "\\n"])
    return separator.join([f"-----BEGIN {label}PRIVATE KEY-----", *lines, f"-----END {label}PRIVATE KEY-----"])


def url_credentials(r):
    user, word = r.choice(["app", "root", "svc-etl", "minh.tran", "reader", "postgres"]), password(r).replace("@", "~").replace("#", "_").replace("%", "x").replace("&", "z")
    host = r.choice(["db.prod.local", "10.2.0.14", "cache-3.eu.example.net", "localhost", "mq.weather.dev"])
    scheme = r.choice(["postgres", "postgresql", "mysql", "mongodb+srv", "redis", "amqps", "ftp", "https", "sftp", "mssql"])
    if r.random() < 0.12:
        token = pick(r, ALNUM, 30) + digits(r, 2)
        name = r.choice(["access_token", "api_key", "token", "sig", "apikey", "auth"])
        url = f"https://{r.choice(['api', 'cdn', 'hooks'])}.example.net/{r.choice(['v2/items', 'feed', 'export'])}?{name}={token}"
        return "query", url, token, [token]
    head, tail = f"{scheme}://", f"@{host}{r.choice([':5432', ':6379', ''])}/{r.choice(['main', 'orders', '0', 'vhost'])}"
    pair = f"{user}:{word}" if scheme != "redis" or r.random() < 0.5 else f":{word}"
    return scheme, head + pair + tail, word, [pair, pair + "@", word, head + pair, head + pair + "@"]


# ---- wallets

def bech32_sum(values):
    total = 1
    for value in values:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            total ^= generator if top >> index & 1 else 0
    return total


def segwit(r, version):
    payload = [r.randint(0, 31) for _ in range(32 if version == 0 else 52)]
    # The last five bits are padded with zeros: 20 bytes fill 32 symbols, 32 bytes 51.2 of 52.
    if version:
        payload[-1] &= 0b10000
    prefix = [3, 3, 0, 2, 3]
    body = [version] + payload
    check = bech32_sum(prefix + body + [0] * 6) ^ (1 if version == 0 else 0x2BC830A3)
    return "bc1" + "".join(B32[v] for v in body + [check >> 5 * (5 - i) & 31 for i in range(6)])


def base58check(r, version):
    body = bytes([version]) + bytes(r.randint(0, 255) for _ in range(20))
    body += hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number, text = int.from_bytes(body, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = B58[rest] + text
    return "1" * (len(body) - len(body.lstrip(b"\0"))) + text


def keccak256(data):
    mask, lanes = (1 << 64) - 1, [[0] * 5 for _ in range(5)]
    rotate = lambda v, n: (v << n | v >> (64 - n)) & mask if n else v
    block = data + b"\x01" + b"\0" * (135 - len(data))
    block = block[:-1] + bytes([block[-1] | 0x80])
    for i in range(17):
        lanes[i % 5][i // 5] ^= int.from_bytes(block[8 * i:8 * i + 8], "little")
    lfsr = 1
    for _ in range(24):
        c = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        d = [c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ d[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], rotate(current, (t + 1) * (t + 2) // 2 % 64)
        lanes = [[lanes[x][y] ^ (~lanes[(x + 1) % 5][y] & mask & lanes[(x + 2) % 5][y]) for y in range(5)] for x in range(5)]
        for j in range(7):
            if lfsr & 1:
                lanes[0][0] ^= 1 << ((1 << j) - 1)
            lfsr = lfsr << 1 ^ (0x171 if lfsr & 0x80 else 0)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def ethereum(r):
    text = pick(r, HEX, 40)
    check = keccak256(text.encode()).hex()
    return "0x" + "".join(c.upper() if int(check[i], 16) >= 8 else c for i, c in enumerate(text))


def crypto(r):
    kind = r.choice(["bech32", "taproot", "p2pkh", "p2sh", "eth", "eth", "eth_lower"])
    make = {"bech32": lambda: segwit(r, 0), "taproot": lambda: segwit(r, 1), "p2pkh": lambda: base58check(r, 0), "p2sh": lambda: base58check(r, 5),
            "eth": lambda: ethereum(r), "eth_lower": lambda: "0x" + pick(r, HEX, 40)}
    return kind, make[kind]()
