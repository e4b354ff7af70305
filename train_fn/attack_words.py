"""The words that attacks put in place of others."""

BRITISH = {
    "aging": "ageing", "analyze": "analyse", "apologize": "apologise", "armor": "armour",
    "artifact": "artefact", "behavior": "behaviour", "canceled": "cancelled", "catalog": "catalogue",
    "center": "centre", "color": "colour", "cozy": "cosy", "criticize": "criticise", "defense": "defence",
    "dialog": "dialogue", "emphasize": "emphasise", "favor": "favour", "favorite": "favourite",
    "fiber": "fibre", "flavor": "flavour", "fulfill": "fulfil", "gray": "grey", "harbor": "harbour",
    "honor": "honour", "humor": "humour", "jewelry": "jewellery", "labor": "labour", "license": "licence",
    "liter": "litre", "maximize": "maximise", "meter": "metre", "minimize": "minimise",
    "modeling": "modelling", "mold": "mould", "neighbor": "neighbour", "offense": "offence",
    "optimize": "optimise", "organize": "organise", "organization": "organisation", "plow": "plough",
    "program": "programme", "realize": "realise", "recognize": "recognise", "rumor": "rumour",
    "savor": "savour", "skeptical": "sceptical", "theater": "theatre", "traveled": "travelled",
    "traveler": "traveller", "utilize": "utilise", "vapor": "vapour",
}  # fmt: skip
SPELLINGS = {**BRITISH, **{british: american for american, british in BRITISH.items()}}

# Likely words of any text: a masked language model, asked for a replacement, offers such words.
COMMON = (
    "able accept account achieve action active actual address advance advantage advice affect afford "
    "agency agree allow almost alone amount ancient announce answer appear apply approach area argue "
    "arrive article aspect assume attack attempt attend audience author average avoid balance basic "
    "battle beauty become begin behave believe belong benefit beyond border bottom branch bridge brief "
    "bright bring broad budget build burden business capable capital capture careful carry casual cause "
    "central certain chance change chapter charge choice claim classic clear climate close collect "
    "combine comfort comment commit common compare complete complex concept concern conduct confirm "
    "connect consider constant contain content contest continue contract control convert correct cost "
    "couple courage course cover create credit crisis critical culture current custom damage danger "
    "debate decade decide declare decline deep degree deliver demand depend describe design desire detail "
    "develop device differ direct discover discuss distance divide double doubt dramatic draw dream drive "
    "effect effort element emerge emotion enable energy enjoy enter entire equal escape essential "
    "establish evening event evidence exact examine example except exchange exist expand expect expense "
    "explain explore express extend extreme factor fail familiar famous fashion feature figure final "
    "finish focus follow force foreign form former forward found freedom fresh function future gain "
    "gather general gentle global goal govern gradual grand grant ground grow guide habit handle happen "
    "hard height hidden honest image imagine impact improve include increase indicate industry inform "
    "initial inner insist intend interest introduce invest involve issue joint journey judge keep kind "
    "label language large later launch lead learn length letter level limit local logic lose maintain "
    "major manage manner mark massive master matter measure member mention method minor mission mistake "
    "modern moment moral motion move narrow nature nearby need network normal notice notion object "
    "observe obtain obvious occur offer open operate oppose option order origin outcome output overall "
    "owner pattern perfect perform period permit phrase place plain plan point popular position possess "
    "potential power practice prefer prepare present pressure prevent primary private problem process "
    "produce profit progress promise proper protect prove provide public purpose pursue quality quick "
    "quiet raise range rapid reach react real reason recall receive recent record reduce refer reflect "
    "refuse regard region regular reject relate release remain remark remember remove repeat replace "
    "report require research reserve resist resolve respond rest result retain return reveal review "
    "reward rise role rough route sample scale scene search secret section secure select sense separate "
    "series settle severe shape share sharp shift signal silent similar simple single skill smooth social "
    "solid solve source speak special speed spread stable standard state steady story strange strength "
    "stress strict strong structure struggle style subject succeed sudden suffer suggest supply support "
    "surface survive sustain talent target task teach tension theme theory threat title topic total touch "
    "trace track tradition transfer travel treat trend trust typical unique unit update useful usual "
    "valid value vary various vast view violent vision visit vital volume wealth weight whole wide "
    "willing wisdom wonder worth yield"
).split()
