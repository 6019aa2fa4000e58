"""Write corpus/: made-up sentences from templates, in the format of CoNLL-2003.

Nobody wrote these sentences and they are far easier than a newspaper's. They are here so that the example and its
tests run without a download; figures on them say that the machinery works, not how good the tagger is.
A third of the names are invented from syllables, so that most of those in test never occur in train.
"""

import random
from pathlib import Path

# fmt: off
NAMES = {
    "FIRST": ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Margaret", "Radia", "Ken", "Frances", "Hedy"],
    "LAST": ["Keller", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Haddad", "Byrne", "Castro"],
    "LOC": ["Oslo", "Lima", "New Delhi", "Nairobi", "Porto", "San Marino", "Hanoi", "Quebec", "Cape Town", "Riga"],
    "ORG": ["Northwind", "Acme Corp.", "Helios Bank", "U.N.", "Blue River Motors", "Orion Press", "F.C. Vega"],
    "MISC": ["Norwegian", "Peruvian", "World Cup", "Nobel Prize", "Kenyan", "Ryder Cup", "Vietnamese", "Latvian"],
}
# fmt: on
ENDINGS = {"ORG": ["", " Corp.", " Bank", " Motors", " Press"], "MISC": ["ian", "ese", " Cup", " Prize"]}
SYLLABLES = "ba den fi gar lo mi nu pel ro sta tor va zan".split()  # noqa: SIM905
TEMPLATES = """\
{FIRST} {LAST} , who lives in {LOC} , met {FIRST} {LAST} on Monday .
{ORG} said it would open an office in {LOC} next year .
Shares of {ORG} fell 3.5 % after {FIRST} {LAST} resigned as chairman .
The {MISC} team beat {ORG} 2-1 in {LOC} on 1996-08-22 .
" We are ready , " {FIRST} {LAST} of {ORG} told reporters .
{FIRST} {LAST} won the {MISC} in {LOC} .
Police in {LOC} said two people were hurt .
{LOC} and {LOC} signed a trade agreement yesterday .
A {MISC} minister will visit {LOC} for talks with {ORG} .
{ORG} named {FIRST} {LAST} as its new chief executive .
The weather will be cold and it may rain later .
Officials declined to comment on the report .
{FIRST} {LAST} flew from {LOC} to {LOC} with {ORG} staff .
{MISC} exports rose , said {FIRST} {LAST} , an economist at {ORG} .
Trading was quiet before the holiday .
{ORG} , based in {LOC} , makes engines for {ORG} .
Mr {LAST} said the {MISC} was his last race .
Nothing is known about the cause of the fire in {LOC} .""".splitlines()


def name(draw, kind):
    """The words of one name."""
    if draw.random() > 1 / 3:
        return draw.choice(NAMES[kind]).split()
    invented = "".join(draw.sample(SYLLABLES, draw.randint(2, 3))).capitalize()
    return (invented + draw.choice(ENDINGS.get(kind, [""]))).split()


def sentence(draw):
    """Lines of TOKEN TAG."""
    before = ""
    for word in draw.choice(TEMPLATES).split():
        if word.startswith("{"):
            kind = word.strip("{}")
            tag = "PER" if kind in ("FIRST", "LAST") else kind
            for place, part in enumerate(name(draw, kind)):
                yield f"{part} {'I' if place or before == '{FIRST}' else 'B'}-{tag}"
        else:
            yield f"{word} O"
        before = word


if __name__ == "__main__":
    folder = Path(__file__).parent / "corpus"
    folder.mkdir(exist_ok=True)
    for seed, (split, count) in enumerate({"train": 450, "validation": 60, "test": 200}.items()):
        draw = random.Random(seed)
        sentences = ["\n".join(sentence(draw)) for _ in range(count)]
        (folder / f"{split}.txt").write_text("-DOCSTART- O\n\n" + "\n\n".join(sentences) + "\n", encoding="utf-8")
