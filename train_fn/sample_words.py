"""The words of the built-in sample: seven of RAID's nine domains and the word classes its grammar draws from.

Poetry and code are left out: their lines obey a form that a sentence grammar does not write.
Every verb is a transitive past tense and every adverb fits before a verb or after its object, so that any
draw is a sentence. The lists are short, so that a few thousand texts show each word often enough to weigh it.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DOMAIN_NOUNS = {
    "abstracts": _words(
        "algorithm benchmark classifier dataset equation estimator experiment matrix measurement network "
        "sensor simulation theorem threshold"
    ),
    "books": _words(
        "attic captain castle daughter detective diary ghost harbour island letter orphan portrait stranger widow"
    ),
    "news": _words(
        "ambassador bank border budget committee court election governor inquiry mayor minister railway "
        "strike treaty"
    ),
    "recipes": _words(
        "apple bread broth butter carrot cream dough garlic lemon onion oven potato sauce stew"
    ),
    "reddit": _words(
        "apartment boss brother car commute dog exam landlord laptop phone professor roommate router thread"
    ),
    "reviews": _words(
        "actor album camera chapter costume director drama ending guitar melody plot sequel soundtrack villain"
    ),
    "wiki": _words(
        "bishop canal cathedral district dynasty empire fortress glacier mountain museum parish river temple "
        "village"
    ),
}

SHARED_NOUNS = _words(
    "answer aspect balance challenge chance change detail difference effort example feature foundation habit "
    "idea impact insight issue journey landscape lesson memory mistake moment narrative pattern perspective "
    "piece plan problem purpose question reason result role side story strength surprise thing trouble"
)
VERBS = _words(
    "addressed answered avoided broke built caught changed checked defined demonstrated dropped emphasized "
    "enhanced ensured explored faced fostered found handled helped highlighted ignored improved kept liked "
    "lost missed moved needed noticed reached reflected revealed ruined saved shaped supported took tried "
    "underscored"
)
ADJECTIVES = _words(
    "bad big bright broad careful clear compelling complex crucial curious deep diverse dull dynamic early easy "
    "essential fresh gentle good hard heavy innovative intricate key lasting little long meaningful messy nice "
    "notable odd old plain profound quick quiet rich robust rough seamless silly small strange unique vibrant "
    "whole"
)
ADVERBS = _words(
    "almost always badly carefully clearly deeply effectively eventually greatly hardly largely mostly never "
    "often quickly quietly really seamlessly significantly slowly soon truly twice ultimately"
)
# The same links open a sentence ("However, the ...") or stand inside one ("the ..., however, ...").
LINKS = _words(
    "additionally anyway besides consequently finally furthermore however indeed instead meanwhile moreover "
    "nevertheless still therefore"
)
DETERMINERS = _words("the a an this that every")
PREPOSITIONS = _words("above across against along around before behind beside beyond near within")
PRONOUNS = _words("he she it they we")
JOINS = _words("although because before since until when where while")
