"""The words of the built-in sample: seven of RAID's nine domains and the word classes its grammar draws from.

Poetry and code are left out: their lines obey a form that a sentence grammar does not write.
Every verb is a transitive past tense and every adverb fits before a verb or after its object, so that any
draw is a sentence.
"""

DOMAIN_NOUNS: dict[str, tuple[str, ...]] = {
    domain: tuple(words.split())
    for domain, words in {
        "abstracts": """algorithm benchmark classifier corpus dataset equation estimator experiment gradient
            kernel lattice likelihood manifold matrix measurement metric network operator parameter posterior
            protocol regression sensor signal simulation spectrum tensor theorem threshold variance""",
        "books": """attic bride captain castle cottage curse daughter detective diary doctor farmhouse garden
            ghost harbour inheritance island journey lantern letter mansion orphan portrait priest promise
            regiment sailor schoolhouse servant stranger widow""",
        "news": """airport ambassador ballot bank border budget cabinet campaign coalition committee council
            court deadline election factory governor hearing inquiry lawsuit mayor minister parliament
            pipeline police railway senator strike tariff treaty union""",
        "recipes": """almond apple batter bean bowl bread broth butter cabbage carrot cheese cinnamon cream
            dough fillet flour garlic glaze lemon mushroom noodle onion oven pastry pepper potato pumpkin
            sauce skillet stew""",
        "reddit": """account apartment boss boyfriend brother car cat commute console coworker dog exam
            girlfriend headset inbox job landlord laptop manager neighbour password paycheck phone printer
            professor roommate router shift subreddit thread""",
        "reviews": """actor album audience camera cast chapter comedy costume dialogue director documentary
            drama ending episode finale guitar hero melody monster musical plot script scene sequel singer
            soundtrack studio thriller trailer villain""",
        "wiki": """abbey archipelago battalion bishop canal cathedral cemetery century county district duchy
            dynasty empire expedition fortress genus glacier locomotive monastery mountain museum parish
            peninsula province railyard river settlement species temple village""",
    }.items()
}

SHARED_NOUNS = tuple(
    """account answer approach aspect balance beginning challenge chance change choice concern context corner
    danger detail difference effort element example fact failure feature form foundation framework habit hint
    idea impact influence insight issue journey kind landscape lesson list memory method mistake mix moment
    narrative number pace part pattern perspective piece place plan point potential problem process purpose
    question range reason result role rule sense shape side significance sort source step story strength
    structure stuff style success surprise task theme thing time track trouble turn value variety version
    view weight whole world""".split()
)

VERBS = tuple(
    """addressed admired answered avoided broke brought built carried caught changed checked chose combined
    covered created defined delivered demonstrated described doubted dropped emphasized enhanced enriched
    ensured examined explored faced followed forgot fostered found gathered guided handled held helped
    highlighted hurt ignored illustrated improved influenced joined kept left liked lost made managed matched
    mentioned missed moved needed noticed offered passed picked presented promised provided pulled pushed
    reached reflected remembered represented reshaped revealed ruined saved showcased showed spoiled started
    stopped supported surrounded took tested touched transformed treated tried turned underscored used
    wanted watched""".split()
)

ADJECTIVES = tuple(
    """actual bad beautiful big bright broad calm careful central clear cold common complex compelling
    comprehensive crucial curious dark deep delicate different diverse dull dynamic early easy empty essential
    fine fresh full good gentle great hard heavy honest huge innovative intricate key large late lasting
    little local long loose lovely main meaningful memorable messy mild modern narrow nice notable odd old
    ordinary particular plain pivotal poor profound proper quick quiet real remarkable rich robust rough
    seamless second sharp short significant silly simple slow small solid special strange strong sudden sweet
    tall thin tiny unique usual vast vibrant warm weak weird whole wild young""".split()
)

ADVERBS = tuple(
    """actually again almost always badly barely carefully clearly closely consistently deeply directly
    effectively eventually finally gently greatly hardly honestly largely lately mostly nearly never often
    once openly partly perfectly perhaps probably quickly quietly rarely really repeatedly seamlessly
    significantly simply slowly sometimes soon successfully suddenly surely thoroughly truly twice ultimately
    usually""".split()
)

# The same links open a sentence ("However, the ...") or stand inside one ("the ..., however, ...").
LINKS = tuple(
    """additionally anyway besides consequently finally furthermore hence however indeed instead meanwhile
    moreover nevertheless nonetheless similarly still then therefore though thus""".split()
)

PREPOSITIONS = tuple("above across after against along around before behind beside beyond near within".split())
PRONOUNS = tuple("he she it they we".split())
JOINS = tuple("although because before since until when where while".split())
