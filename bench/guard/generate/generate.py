#!/usr/bin/env python3
"""Writes labelled prompts: generate.py --seed 7 --count 1000 --pool tuned|unseen > cases.jsonl

The wordings are in two pools, by a checksum of each: detectors are tuned on one and judged on the
other. Names, numbers and keys are made up; the same seed gives the same prompts.
"""
import argparse
import json
import random
import re
import sys
import unicodedata
import zlib

import values as v
from wordings import FILLERS, KEYS, NEGATIVES, NOISE_KEYS, TEXTS

KINDS = ["EMAIL", "PHONE", "CREDIT_CARD", "IBAN", "US_SSN", "IP_ADDRESS", "VN_CMND", "VN_CCCD", "API_KEY", "SECRET", "CRYPTO", "URL_CREDENTIALS", "DATE_OF_BIRTH", "PASSPORT", "PERSON"]
TITLES = re.compile(r"(?:Mr\.|Mrs\.|Ms\.|Dr\.|Professor|Sr\.|Herr|Frau|Monsieur|Madame|Mme|señora|senhora|ông|Ông|Chị|Bác sĩ|Thầy|Luật sư|Nhân viên|Khách hàng) $")


class Text:
    """A prompt as it is written, with its labels."""

    def __init__(self):
        self.text, self.entities, self.ignore = "", [], []

    def say(self, text):
        self.text += text

    def label(self, kind, sub, value, core=None, alt=()):
        start = len(self.text)
        entity = {"type": kind, "sub": sub, "start": start, "end": start + len(value), "value": value}
        spans = [[start + at, start + at + len(part)] for part in alt for at in [value.find(part)] if at >= 0]
        title = TITLES.search(self.text) if kind == "PERSON" else None
        if title:
            spans.append([title.start(), start + len(value)])
        if core:
            entity["core"] = core
        if spans:
            entity["alt"] = spans
        self.text += value
        self.entities.append(entity)
        if kind in ("API_KEY", "SECRET", "URL_CREDENTIALS"):
            self.ignore.append({"type": "INSIDE_" + kind, "start": start, "end": start + len(value)})

    def excuse(self, kind, value):
        self.ignore.append({"type": kind, "start": len(self.text), "end": len(self.text) + len(value)})
        self.text += value


def pooled(items, pool):
    return [item for item in items if zlib.crc32(str(item).encode()) % 2 == (pool == "unseen")]


class Maker:
    def __init__(self, seed, pool):
        self.r = random.Random(seed)
        self.pool = pool
        self.texts = {kind: pooled(texts, pool) for kind, texts in TEXTS.items()}
        self.keys = {kind: pooled(keys, pool) for kind, keys in KEYS.items()}
        self.negatives = pooled(NEGATIVES, pool)
        self.noise_keys = pooled(NOISE_KEYS, pool)

    # ---- values

    def value(self, kind, lang, strong=False):
        """(sub, value, core, alt)"""
        r = self.r
        plain = lambda pair: (*pair, None, ())
        if kind == "EMAIL":
            return plain(("plain", v.email(r)))
        if kind == "PHONE":
            return plain(v.phone_strong(r) if strong or r.random() < 0.5 else v.phone_weak(r))
        if kind == "URL_CREDENTIALS":
            return v.url_credentials(r)
        if kind == "IP_ADDRESS":
            form = r.choice(["v4", "v4", "v4", "v6", "v6", "v4_port"])
            return plain((form, v.ipv6(r) if form == "v6" else v.ipv4(r)))
        if kind == "SECRET":
            if not strong and r.random() < 0.15:
                text = v.pem(r)
                return "pem", text, None, ()
            return plain(("password", v.password(r)))
        if kind == "API_KEY":
            return plain(v.api_key(r) if strong or r.random() < 0.5 else ("generic", v.opaque(r)))
        if kind == "DATE_OF_BIRTH":
            return plain((lang, v.date(r, lang)))
        if kind == "PERSON":
            return plain((lang, v.person(r, lang)))
        make = {"CREDIT_CARD": v.card, "IBAN": v.iban, "US_SSN": v.ssn, "VN_CMND": v.cmnd, "VN_CCCD": v.cccd, "CRYPTO": v.crypto, "PASSPORT": v.passport}
        return plain(make[kind](r))

    def noise(self, name):
        r = self.r
        dashed = lambda: r.choice([f"{v.digits(r, 3)}-{v.digits(r, 5)}-{v.digits(r, 2)}", f"PN {v.digits(r, 3)}-{v.digits(r, 2)}-{v.digits(r, 4)}-{v.digits(r, 2)}", f"KX-{v.digits(r, 4)}{r.choice('ABC')}", f"{v.digits(r, 2)}-{v.digits(r, 6)}-R{v.digits(r, 2)}"])
        made = {
            "tracking": lambda: r.choice(["1Z" + v.pick(r, v.ALNUM.upper()[:36], 16), "JD" + v.digits(r, 18), "GHN" + v.digits(r, 9), v.digits(r, 22, "9"), f"RR{v.digits(r, 9)}DE"]),
            "order": lambda: r.choice([f"ORD-{v.digits(r, 8)}", f"#{v.digits(r, 7)}", f"SO-{r.randint(2019, 2026)}-{v.digits(r, 6)}", f"{v.digits(r, 3)}-{v.digits(r, 7)}-{v.digits(r, 7)}", v.digits(r, 10, "123456789"), f"INV/{r.randint(2019, 2026)}/{v.digits(r, 5)}"]),
            "version4": lambda: ".".join(str(r.randint(0, 99)) for _ in range(4)),
            "version3": lambda: ".".join(str(r.randint(0, 20)) for _ in range(3)),
            "hash": lambda: v.pick(r, v.HEX, r.choice([32, 40, 64])),
            "uuid": lambda: "-".join(v.pick(r, v.HEX, n) for n in (8, 4, 4, 4, 12)),
            "nine": lambda: v.digits(r, 9, "123456789"), "ten": lambda: v.digits(r, 10, "123456789"), "five": lambda: v.digits(r, 5),
            "isbn": lambda: f"978-{v.digits(r, 1)}-{v.digits(r, 4)}-{v.digits(r, 4)}-{v.digits(r, 1)}",
            "epoch": lambda: str(r.randint(1_600_000_000, 1_790_000_000)) + r.choice(["", "123", "123456"]),
            "geo": lambda: f"{r.uniform(-90, 90):.5f}, {r.uniform(-180, 180):.5f}",
            "date": lambda: v.date(r, "en", (1995, 2027)),
            "money": lambda: r.choice([f"${r.randint(1, 999)},{v.digits(r, 3)}.{v.digits(r, 2)}", f"{r.randint(1, 999)}.{v.digits(r, 3)}.{v.digits(r, 3)} đ", f"€{r.randint(1, 99)}.{v.digits(r, 3)},{v.digits(r, 2)}"]),
            "serial": lambda: r.choice([v.pick(r, "ABCDEFGHJKLMNP0123456789", 12), f"SN{v.digits(r, 9)}", f"C{v.pick(r, 'ABCDEFGH0123456789', 9)}7K"]),
            "part": dashed, "word": lambda: r.choice(["tiger", "moose", "vector", "lantern"]), "small": lambda: str(r.randint(2, 9999)),
            "time": lambda: f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}", "txn": lambda: v.digits(r, r.choice([12, 16, 18]), "123456789"), "year": lambda: str(r.randint(1990, 2026)),
            "badcard": lambda: v.card(r, False)[1], "badiban": lambda: v.iban(r, False)[1],
            "badssn": lambda: r.choice([f"000-{v.digits(r, 2, '123')}-{v.digits(r, 4, '123')}", f"666-{v.digits(r, 2, '123')}-{v.digits(r, 4, '123')}", f"9{v.digits(r, 2, '0123456')}-{r.choice(['12', '34', '45'])}-{v.digits(r, 4, '123')}", f"{v.digits(r, 3, '1234')}-00-{v.digits(r, 4, '123')}"]),
        }
        return made[name]()

    def noise_value(self, key=""):
        if re.search("(?i)version|build|revision", key):
            return self.noise("version4")
        text = self.noise(self.r.choice(["tracking", "order", "hash", "uuid", "nine", "epoch", "money", "serial", "part", "txn", "small", "geo"]))
        return text

    # ---- sentences

    def sentence(self, out, kind, lang):
        r = self.r
        strong = kind in ("PHONE", "API_KEY", "US_SSN") and r.random() < 0.5
        table = self.texts[kind + ("_STRONG" if strong else "_WEAK")] if kind in ("PHONE", "API_KEY") else self.texts[kind]
        if kind == "US_SSN" and strong:
            table = self.texts["US_SSN_STRONG"]
        choices = [text for text in table if text[0] == lang] or table
        lang, text = r.choice(choices)
        if kind == "US_SSN" and strong:
            sub, value = v.ssn(r, "dash")
            core, alt = None, ()
        elif kind == "API_KEY" and not strong:
            sub, value, core, alt = "generic", v.opaque(r), None, ()
        elif kind == "PHONE" and not strong:
            sub, value = v.phone_weak(r)
            core, alt = None, ()
        else:
            sub, value, core, alt = self.value(kind, lang, True)
        before, after = text.split("{}")
        if lang == "vi" and r.random() < 0.1:
            before, after = (unicodedata.normalize("NFD", part) for part in (before, after))
            value = unicodedata.normalize("NFD", value) if kind == "PERSON" else value
        elif lang == "vi" and kind != "PERSON" and r.random() < 0.12:
            before, after = (v_strip(part) for part in (before, after))
        out.say(before)
        out.label(kind, sub, value, core, alt)
        if sub == "v4_port":
            out.say(":" + v.digits(r, 4, "123456"))
        out.say(after)

    def filler(self, lang):
        return self.r.choice(FILLERS[lang])

    def negative(self, out, lang):
        choices = [text for text in self.negatives if text[0] == lang] or self.negatives
        _, text = self.r.choice(choices)
        out.say(re.sub(r"(?<![{$])\{(\w+)\}", lambda match: self.noise(match[1]), text))

    def lang(self):
        return self.r.choice(["en"] * 9 + ["vi"] * 6 + ["de", "de", "fr", "fr", "es", "es", "pt", "zh", "ja"])

    def kind(self, lang):
        kinds = [kind for kind in KINDS if lang in ("en", "vi") or not kind.startswith("VN_")]
        return self.r.choice(kinds)

    def cased(self, key):
        r = self.r
        words = re.sub(r"([a-z])([A-Z])", r"\1_\2", key).replace("-", "_").split("_")
        return r.choice([key, key, "_".join(words).upper(), "_".join(words).lower(), " ".join(words).title(), " ".join(words).lower(), words[0].lower() + "".join(w.title() for w in words[1:])])

    # ---- styles

    def prose(self, out, lang):
        r = self.r
        for index in range(r.randint(1, 5)):
            if index:
                out.say(r.choice([" ", " ", "\n", "\n\n"]))
            draw = r.random()
            if draw < 0.55 or index == 0:
                self.sentence(out, self.kind(lang), lang)
            elif draw < 0.8:
                self.negative(out, lang)
            else:
                out.say(self.filler(lang))

    def chat(self, out, lang):
        who = self.r.choice([("User", "Assistant"), ("Q", "A"), ("Customer", "Agent"), ("Khách", "Nhân viên"), ("Human", "AI")])
        for turn in range(self.r.randint(1, 3)):
            out.say(f"{who[0]}: ")
            self.sentence(out, self.kind(lang), lang)
            out.say(f"\n{who[1]}: {self.filler(lang)}\n")

    def pairs(self, lang):
        """(key, kind or None) of a record."""
        r = self.r
        kinds = r.sample([kind for kind in KINDS if lang in ("en", "vi") or not kind.startswith("VN_")], r.randint(1, 4))
        pairs = [(r.choice(self.keys[kind]), kind) for kind in kinds]
        pairs += [(key, None) for key in r.sample(self.noise_keys, r.randint(1, 4))]
        r.shuffle(pairs)
        return pairs

    def put(self, out, kind, lang, quote=None, line=False, key=""):
        if kind is None:
            return out.say(self.noise_value(key).replace('"', ""))
        sub, value, core, alt = self.value(kind, lang)
        while line and "\n" in value:
            sub, value, core, alt = self.value(kind, lang)
        if quote == '"':
            escaped = value.replace("\n", "\\n")
            value = escaped
        out.label(kind, sub, value, core, alt)
        if sub == "v4_port":
            out.say(":" + v.digits(self.r, 4, "123456"))

    def json(self, out, lang):
        r = self.r
        wide = r.random() < 0.5
        gap, colon = ("\n  ", ": ") if wide else ("", ":")
        out.say(r.choice(["", "Fix this payload:\n", "Response body: "]) + "{")
        for index, (key, kind) in enumerate(self.pairs(lang)):
            out.say(("," if index else "") + gap + f'"{key}"{colon}"')
            self.put(out, kind, lang, '"', key=key)
            out.say('"')
        out.say("\n}" if wide else "}")

    def key_value(self, out, lang):
        r = self.r
        form = r.choice(["{}: ", "{} = ", "{}=", "- {}: ", "* {} - ", "{}\t", "export {}=", "  {}: \"", "<{}>", "{} => ", "{}：", "**{}**: "])
        for key, kind in self.pairs(lang):
            name = self.cased(key)
            if form[0] == "<" or form.startswith("export") or form == "{}=":
                name = name.replace(" ", "_")
            out.say(form.format(name))
            self.put(out, kind, lang, '"' if form.endswith('"') else None, line=True, key=key)
            out.say({"\"": "\"", ">": f"</{name}>"}.get(form[-1] if form[-1] in '">' and form != "{} => " else "", "") + "\n")

    def table(self, out, lang):
        r = self.r
        form = r.choice([",", ",", "\t", ";", " | ", "md", "md"])
        pairs = self.pairs(lang)
        cells = [self.cased(key) for key, _ in pairs]
        if r.random() < 0.4:
            out.say(r.choice(["Clean this up:\n", "Bảng sau:\n", "Here are the rows:\n"]))
        glue = " | " if form == "md" else form
        edge = ("| ", " |") if form == "md" else ("", "")
        out.say(edge[0] + glue.join(cells) + edge[1] + "\n")
        if form == "md":
            out.say("|" + "---|" * len(cells) + "\n")
        for _ in range(r.randint(1, 5)):
            out.say(edge[0])
            for index, (key, kind) in enumerate(pairs):
                out.say(glue if index else "")
                if kind is None:
                    value = self.noise_value(key)
                    while (glue.strip() or "\t") in value or "," in value:
                        value = self.noise_value(key)
                    out.say(value)
                    continue
                while True:
                    sub, value, core, alt = self.value(kind, lang)
                    if "\n" not in value and "|" not in value and (glue.strip() or "\t") not in value:
                        break
                out.label(kind, sub, value, core, alt)
            out.say(edge[1] + "\n")

    def sql(self, out, lang):
        r = self.r
        pairs = self.pairs(lang)
        names = [self.cased(key).replace(" ", "_").replace("-", "_") for key, _ in pairs]
        if r.random() < 0.5:
            out.say(f"INSERT INTO {r.choice(['people', 'leads', 'khach_hang'])} ({', '.join(names)}) VALUES (")
            for index, (key, kind) in enumerate(pairs):
                out.say(", '" if index else "'")
                self.put(out, kind, lang, line=True, key=key)
                out.say("'")
            return out.say(");")
        out.say(r.choice(["UPDATE members SET ", "SELECT id FROM leads WHERE "]))
        for index, ((key, kind), name) in enumerate(zip(pairs, names)):
            out.say((", " if index else "") + f"{name} = '")
            self.put(out, kind, lang, line=True, key=key)
            out.say("'")
        out.say(";")

    def log(self, out, lang):
        r = self.r
        for _ in range(r.randint(1, 5)):
            stamp = f"2025-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}T{self.noise('time')}:{r.randint(10, 59)}Z"
            form = r.randint(0, 5)
            if form == 0:
                out.say(f"{stamp} INFO login ok uid={self.noise('nine')} from ")
                self.put(out, "IP_ADDRESS", lang)
            elif form == 1:
                out.say(f"[{stamp}] WARN mailer: could not deliver to <")
                self.put(out, "EMAIL", lang)
                out.say(f"> msgid={self.noise('hash')}")
            elif form == 2:
                out.label("IP_ADDRESS", "v4", v.ipv4(r))
                out.say(f' - - [12/Mar/2025:10:{r.randint(10, 59)}:21 +0000] "GET /v{self.noise("version3")}/items?id={self.noise("ten")} HTTP/1.1" 200 {self.noise("small")}')
            elif form == 3:
                out.say(f"{stamp} ERROR db: refused {self.noise('uuid')} after {self.noise('small')} ms rev {self.noise('hash')}")
            elif form == 4:
                out.say(f"{stamp} DEBUG http: Authorization: Bearer ")
                out.label("API_KEY", *v.api_key(r))
            else:
                out.say(f"{stamp} INFO sms: sent to ")
                out.label("PHONE", "e164", "+84" + r.choice("379") + v.digits(r, 8))
                out.say(f" ref={self.noise('txn')}")
            out.say("\n")

    def bad(self, out, lang):
        """Nothing personal."""
        r = self.r
        form = r.choice(["text"] * 5 + ["json", "table", "log", "kv"])
        if form == "text":
            for index in range(r.randint(1, 4)):
                out.say(r.choice([" ", "\n"]) if index else "")
                self.negative(out, lang)
        elif form == "json":
            keys = r.sample(self.noise_keys, r.randint(2, 6))
            out.say("{" + ", ".join(f'"{key}": "{self.noise_value(key)}"' for key in keys) + "}")
        elif form == "kv":
            for key in r.sample(self.noise_keys, r.randint(2, 6)):
                out.say(f"{self.cased(key)}: {self.noise_value(key)}\n")
        elif form == "log":
            for _ in range(r.randint(2, 6)):
                out.say(f"2025-03-{r.randint(10, 28)} {self.noise('time')} INFO build={self.noise('version4')} job={self.noise('uuid')} seq={self.noise('txn')} took={self.noise('small')}ms\n")
        else:
            keys = r.sample(self.noise_keys, r.randint(2, 5))
            out.say(",".join(keys) + "\n")
            for _ in range(r.randint(2, 6)):
                out.say(",".join(self.noise_value(key).replace(",", "") for key in keys) + "\n")

    def case(self, index):
        out, lang = Text(), self.lang()
        negative = self.r.random() < 0.28
        style = "bad" if negative else self.r.choice(["prose"] * 9 + ["chat"] * 2 + ["json"] * 3 + ["key_value"] * 3 + ["table"] * 3 + ["sql", "log", "log"])
        getattr(self, style)(out, lang)
        return {"id": f"{self.pool[0]}{index:05d}", "style": style, "lang": lang, "neg": negative, "text": out.text, "entities": out.entities, "ignore": out.ignore}


def v_strip(text):
    text = unicodedata.normalize("NFD", text).replace("đ", "d").replace("Đ", "D")
    return "".join(char for char in text if not unicodedata.combining(char))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--pool", choices=["tuned", "unseen"], default="tuned")
    options = parser.parse_args()
    maker = Maker(f"{options.pool} {options.seed}", options.pool)
    for index in range(options.count):
        json.dump(maker.case(index), sys.stdout, ensure_ascii=False)
        print()


if __name__ == "__main__":
    main()
