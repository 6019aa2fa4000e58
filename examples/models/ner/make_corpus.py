"""Write corpus/: made-up sentences from templates, in the format of CoNLL-2003.

Nobody wrote these sentences and they are far easier than a newspaper's. They are here so that the example and its
tests run without a download; figures on them say that the machinery works, not how good the tagger is.
Half of the names in test never occur in train.
"""

import random
from pathlib import Path

# fmt: off
FIRST = [
    "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Margaret", "Linus",
    "Radia", "Ken", "Frances", "Niklaus", "Adele", "Dennis", "Hedy", "Tim",
]
LAST = [
    "Keller", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Haddad",
    "Byrne", "Castro", "Petrov", "Larsen", "Rossi", "Mensah", "Kaya",
]
# fmt: on
PLACE = ["Oslo", "Lima", "New Delhi", "Nairobi", "Porto", "San Marino", "Hanoi", "Quebec", "Cape Town", "Riga", "Malta"]
ORG = ["Northwind", "Acme Corp.", "Helios Bank", "U.N.", "Blue River Motors", "Orion Press", "Delta Rail", "F.C. Vega"]
MISC = ["Norwegian", "Peruvian", "World Cup", "Nobel Prize", "Kenyan", "Ryder Cup", "Vietnamese", "Latvian"]
NEW = {  # in test only
    "PER": ["Iris Vandermeer", "Tomas Abebe", "Yuki Brandt", "Olena Marchetti", "Sven Iyer", "Dora Quispe"],
    "LOC": ["Tromso", "Port Louis", "Zagreb", "Santa Fe", "Adelaide"],
    "ORG": ["Meridian Foods", "Kestrel Ltd.", "Red Harbour", "Atlas Mining"],
    "MISC": ["Croatian", "Grey Cup", "Mauritian", "Davis Cup"],
}
TEMPLATES = """\
{PER} , who lives in {LOC} , met {PER} on Monday .
{ORG} said it would open an office in {LOC} next year .
Shares of {ORG} fell 3.5 % after {PER} resigned as chairman .
The {MISC} team beat {ORG} 2-1 in {LOC} on 1996-08-22 .
" We are ready , " {PER} of {ORG} told reporters .
{PER} won the {MISC} in {LOC} .
Police in {LOC} said two people were hurt .
{LOC} and {LOC} signed a trade agreement yesterday .
A {MISC} minister will visit {LOC} for talks with {ORG} .
{ORG} named {PER} as its new chief executive .
The weather will be cold and it may rain later .
Officials declined to comment on the report .
{PER} flew from {LOC} to {LOC} with {ORG} staff .
{MISC} exports rose , said {PER} , an economist at {ORG} .
Trading was quiet before the holiday .
{ORG} , based in {LOC} , makes engines for {ORG} .
Mr {LAST} said the {MISC} was his last race .
Nothing is known about the cause of the fire in {LOC} .""".splitlines()


def name(draw, kind, new):
    """One name of that kind."""
    if new and draw.random() < 0.5:
        return draw.choice(NEW[kind])
    if kind == "PER":
        return f"{draw.choice(FIRST)} {draw.choice(LAST)}"
    return draw.choice({"LOC": PLACE, "ORG": ORG, "MISC": MISC}[kind])


def sentence(draw, new):
    """Lines of TOKEN TAG."""
    for word in draw.choice(TEMPLATES).split():
        if word == "{LAST}":
            yield f"{draw.choice(LAST)} B-PER"
        elif word.startswith("{"):
            kind = word.strip("{}")
            for place, part in enumerate(name(draw, kind, new).split()):
                yield f"{part} {'I' if place else 'B'}-{kind}"
        else:
            yield f"{word} O"


if __name__ == "__main__":
    folder = Path(__file__).parent / "corpus"
    folder.mkdir(exist_ok=True)
    for seed, (split, count) in enumerate({"train": 450, "validation": 60, "test": 200}.items()):
        draw = random.Random(seed)
        sentences = ["\n".join(sentence(draw, split == "test")) for _ in range(count)]
        (folder / f"{split}.txt").write_text("-DOCSTART- O\n\n" + "\n\n".join(sentences) + "\n", encoding="utf-8")
