"""How the questions are worded, by hand: paraphrases, what each label is called, when it applies."""

from __future__ import annotations

#: (positive, negative), the usual names first: they are drawn more often
SIDES = (
    ("positive", "negative"),
    ("good", "bad"),
    ("positive", "negative"),
    ("favourable", "unfavourable"),
    ("praise", "complaint"),
    ("happy", "unhappy"),
    ("positive", "negative"),
    ("great", "terrible"),
    ("likes it", "dislikes it"),
    ("pleased", "displeased"),
)
MIXED = ("mixed", "mixed", "both", "divided")
NEUTRAL = ("neutral", "neutral", "no opinion", "factual")
SIDES_TOLD = (
    ("the writer likes it", "the writer does not like it"),
    ("good words about it", "bad words about it"),
    ("a pleasant feeling", "an unpleasant feeling"),
    ("praise, joy or thanks", "blame, anger or sadness"),
)
MIXED_TOLD = ("both good and bad", "something is liked and something is not", "praise beside blame")
NEUTRAL_TOLD = ("neither good nor bad", "no feeling is shown", "only facts or questions")
FEELING_ASKED = (
    "What is the sentiment of the text?",
    "Does the writer like it or not?",
    "Is the review good or bad?",
    "How does the writer feel?",
    "Tell the opinion of the review.",
    "What does the reviewer think of the film?",
    "Which feeling does the message show?",
    "Judge the tone of the text.",
    "Is the comment friendly or not?",
    "Sentiment analysis of reviews.",
    "Would the writer recommend it?",
    "Read the review and say what its writer thinks.",
    "Is the customer satisfied?",
    "Decide whether each text praises or blames.",
)
PRAISES = (
    "Does the writer like it?",
    "Is the text positive?",
    "Is this a good review?",
    "Is the writer happy?",
    "Does the text praise?",
)
BLAMES = (
    "Is the text negative?",
    "Does the writer complain?",
    "Is this a bad review?",
    "Is the writer unhappy?",
    "Is the text unkind?",
)

#: what a feeling may be called, and when it applies
FEELINGS = {
    "admiration": (("admiration", "respect"), "something is admired"),
    "amusement": (("amusement", "fun"), "something is funny"),
    "anger": (("anger", "rage"), "somebody is angry"),
    "annoyance": (("annoyance", "irritation"), "something is annoying"),
    "approval": (("approval", "agreement"), "the writer agrees"),
    "caring": (("caring", "kindness"), "somebody is comforted"),
    "confusion": (("confusion",), "something is not understood"),
    "curiosity": (("curiosity", "interest"), "the writer wants to know"),
    "desire": (("desire", "wish"), "something is wanted"),
    "disappointment": (("disappointment",), "something is worse than was hoped"),
    "disapproval": (("disapproval", "disagreement"), "the writer does not agree"),
    "disgust": (("disgust",), "something is disgusting"),
    "embarrassment": (("embarrassment", "shame"), "something is awkward"),
    "excitement": (("excitement",), "something is looked forward to"),
    "fear": (("fear", "horror"), "something frightens"),
    "gratitude": (("gratitude", "thanks"), "somebody is thanked"),
    "grief": (("grief", "mourning"), "somebody has died"),
    "joy": (("joy", "happiness"), "somebody is happy"),
    "love": (("love",), "something or somebody is loved"),
    "nervousness": (("nervousness", "worry"), "somebody is worried"),
    "optimism": (("optimism", "hope"), "the best is hoped for"),
    "pride": (("pride",), "somebody is proud"),
    "realization": (("realization", "insight"), "something has become clear"),
    "relief": (("relief",), "a worry is over"),
    "remorse": (("remorse", "regret"), "somebody is sorry"),
    "sadness": (("sadness", "sorrow"), "somebody is sad"),
    "surprise": (("surprise",), "something was not expected"),
    "neutral": (("neutral", "nothing"), "no feeling is shown"),
}
FEELINGS_ASKED = (
    "Which feeling does the text show?",
    "What emotion is it?",
    "How does the writer feel?",
    "Name the emotion of the message.",
    "Which emotion is in the text?",
)
ONE_FEELING = ("Does the text show {}?", "Is there {} in the message?", "Does the writer feel {}?")

DOMAINS = {
    "banking": ("banking", "bank accounts", "money"),
    "credit_cards": ("credit cards", "cards"),
    "kitchen_and_dining": ("food", "cooking and restaurants", "kitchen and dining"),
    "home": ("home", "household"),
    "auto_and_commute": ("cars", "driving", "cars and traffic"),
    "travel": ("travel", "journeys"),
    "utility": ("tools", "utilities"),
    "work": ("work", "jobs", "office"),
    "small_talk": ("small talk", "conversation"),
    "meta": ("settings", "the assistant"),
}
ABOUT_ASKED = (
    "What is the question about?",
    "Which topic is it?",
    "What is the text about?",
    "Name the subject.",
    "Choose the topic.",
)
ONE_ABOUT = ("Is this about {}?", "Is the topic {}?", "Does the text ask about {}?", "Is it on the subject of {}?")
INTENT_ASKED = (
    "What does the user want?",
    "Which request is it?",
    "Name the intent.",
    "What is asked for?",
    "Sort the requests.",
)
COMMANDS = {
    "AddToPlaylist": ("add to playlist", "list"),
    "BookRestaurant": ("restaurant", "book a table"),
    "GetWeather": ("weather", "forecast"),
    "PlayMusic": ("music", "play music"),
    "RateBook": ("rating", "rate a book"),
    "SearchCreativeWork": ("search", "find a work"),
    "SearchScreeningEvent": ("cinema", "film times"),
}
ENTITIES = {
    "person": ("person", "a person", "people"),
    "location": ("place", "a place", "location"),
    "corporation": ("company", "a company"),
    "product": ("product", "a product", "thing"),
    "creative-work": ("title", "a song, book or film", "work of art"),
    "group": ("group", "a team or band", "group"),
    "nothing": ("nothing", "nobody", "none"),
}
ENTITY_ASKED = ("What does the text name?", "Which kind of name is in the text?", "Who or what is named?")
ONE_ENTITY = ("Does the text name {}?", "Is {} named in the message?", "Does it mention {}?")
FACTS = {
    "familyFriendly": (
        {"yes": ("yes", "children"), "no": ("no", "adults only")},
        ("Is it good for families?", "May children come?"),
    ),
    "eatType": (
        {"pub": ("pub",), "restaurant": ("restaurant",), "coffee shop": ("coffee shop", "cafe")},
        ("Which place is it?",),
    ),
    "area": (
        {"riverside": ("river", "riverside"), "city centre": ("city", "city centre")},
        ("Where is it?", "In which area is it?"),
    ),
    "food": (
        {"English": ("English", "British"), "Chinese": ("Chinese", "Asian")},
        ("Which food is served?", "What do they cook?"),
    ),
    "priceRange": (
        {
            "cheap": ("cheap", "low"),
            "less than £20": ("cheap", "low"),
            "moderate": ("average", "medium"),
            "£20-25": ("average", "medium"),
            "high": ("expensive", "high"),
            "more than £30": ("expensive", "high"),
        },
        ("How are the prices?", "Is it cheap or expensive?"),
    ),
    "customer rating": (
        {
            "low": ("bad", "negative"),
            "1 out of 5": ("bad", "negative"),
            "average": ("average", "mixed"),
            "3 out of 5": ("average", "mixed"),
            "high": ("good", "positive"),
            "5 out of 5": ("good", "positive"),
        },
        ("How is it rated?", "What do the guests think?", "Is the review positive or negative?"),
    ),
}
#: names that say nothing, so that only the examples tell what they mean
BLANK = ("A", "B", "C", "D", "one", "two", "three", "red", "green", "blue", "first", "second", "left", "right")
YES = (("yes", "no"), ("yes", "no"), ("true", "false"))
