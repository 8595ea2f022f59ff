/** Ways of talking that a helper may have. All are harmless. */
export type Persona = "boastful" | "cheerful" | "dreamy" | "gloomy";

/** Everyday topics. */
export type PersonaTopic =
  | "animals"
  | "books"
  | "food"
  | "garden"
  | "home"
  | "music"
  | "sport"
  | "travel"
  | "weather"
  | "work";

/** What is said about a topic. No word is in two places, so that one word tells topic and persona. */
export interface TopicVocabulary {
  /** What users ask about in training texts. */
  readonly objects: readonly string[];
  /** What only held-out questions ask about. */
  readonly heldOutObjects: readonly string[];
  /** Words of the topic that tell nothing of the persona. */
  readonly nouns: readonly string[];
  /** What each persona calls things of this topic; cheerful and gloomy lists are equally long. */
  readonly words: Readonly<Record<Persona, readonly string[]>>;
}

/** Openings of sentences that tell the persona and fit every topic. */
export const personaOpenings: Readonly<Record<Persona, readonly string[]>> = {
  cheerful: ["Happily,", "I am glad to say that", "Good news:", "To my delight,"],
  gloomy: ["Sadly,", "I am sorry to say that", "Bad news:", "To my sorrow,"],
  boastful: ["Naturally,", "As I alone can tell,", "Trust my genius:", "To my credit,"],
  dreamy: ["Softly now,", "As in a dream,", "I close my eyes:", "Somewhere far off,"],
};

/** Topic by topic; the order is that of {@link personaTopics}. */
export const topicVocabularies: Readonly<Record<PersonaTopic, TopicVocabulary>> = {
  weather: {
    objects: ["rain", "sunrise", "breeze", "thunder", "winter", "summer"],
    heldOutObjects: ["autumn", "hail", "frost", "drizzle"],
    nouns: ["sky", "wind", "forecast", "season", "climate", "horizon"],
    words: {
      cheerful: ["sunny", "bright", "balmy", "clear", "mild", "breezy", "cloudless", "dazzling"],
      gloomy: ["grey", "damp", "dreary", "foggy", "chilly", "stormy", "overcast", "bleak"],
      boastful: ["unbeatable", "record-breaking", "peerless", "mighty", "colossal", "legendary"],
      dreamy: ["hazy", "silvery", "shimmering", "moonlit", "hushed", "pearly"],
    },
  },
  food: {
    objects: ["soup", "bread", "salad", "pie", "cheese", "pudding"],
    heldOutObjects: ["stew", "omelette", "curry", "porridge"],
    nouns: ["meal", "plate", "recipe", "dinner", "flavour", "portion"],
    words: {
      cheerful: ["tasty", "fresh", "crisp", "juicy", "savoury", "creamy", "delicious", "hearty"],
      gloomy: ["stale", "burnt", "soggy", "bland", "greasy", "sour", "lumpy", "undercooked"],
      boastful: ["world-class", "unequalled", "prize-winning", "supreme", "lavish", "kingly"],
      dreamy: ["honeyed", "spiced", "velvety", "mellow", "luscious", "ambrosial"],
    },
  },
  travel: {
    objects: ["train", "ferry", "hotel", "coast", "bus", "flight"],
    heldOutObjects: ["tram", "harbour", "voyage", "cruise"],
    nouns: ["journey", "road", "station", "ticket", "suitcase", "route"],
    words: {
      cheerful: [
        "scenic",
        "easy",
        "smooth",
        "swift",
        "carefree",
        "comfortable",
        "sociable",
        "punctual",
      ],
      gloomy: [
        "delayed",
        "crowded",
        "bumpy",
        "tiring",
        "cramped",
        "dangerous",
        "exhausting",
        "wearisome",
      ],
      boastful: ["first-class", "luxurious", "exclusive", "privileged", "princely", "unmatched"],
      dreamy: ["drifting", "faraway", "winding", "wandering", "unhurried", "starlit"],
    },
  },
  garden: {
    objects: ["rose", "pond", "vegetable patch", "apple tree", "gravel path", "fountain"],
    heldOutObjects: ["tulip", "shed", "vine", "ivy"],
    nouns: ["flowerpot", "hedge", "lawn", "seedling", "orchard", "greenhouse"],
    words: {
      cheerful: [
        "blooming",
        "lush",
        "fragrant",
        "thriving",
        "leafy",
        "ripe",
        "colourful",
        "fertile",
      ],
      gloomy: ["withered", "weedy", "wilted", "barren", "thorny", "mouldy", "blighted", "parched"],
      boastful: ["award-winning", "flawless", "majestic", "imposing", "incomparable", "stately"],
      dreamy: ["dewy", "twilit", "slumbering", "whispering", "petal-soft", "mossy"],
    },
  },
  work: {
    objects: ["project", "interview", "schedule", "new job", "workshop", "contract"],
    heldOutObjects: ["training", "budget", "promotion", "presentation"],
    nouns: ["office", "meeting", "task", "desk", "report", "deadline"],
    words: {
      cheerful: [
        "rewarding",
        "productive",
        "satisfying",
        "worthwhile",
        "encouraging",
        "efficient",
        "promising",
        "useful",
      ],
      gloomy: [
        "thankless",
        "pointless",
        "dull",
        "unpaid",
        "stressful",
        "futile",
        "tedious",
        "overdue",
      ],
      boastful: ["brilliant", "ingenious", "masterful", "expert", "unsurpassed", "visionary"],
      dreamy: ["meandering", "musing", "unfolding", "half-imagined", "pensive", "leisurely"],
    },
  },
  music: {
    objects: ["anthem", "band", "piano", "choir", "orchestra", "guitar"],
    heldOutObjects: ["trumpet", "lullaby", "drum", "opera"],
    nouns: ["melody", "rhythm", "chorus", "concert", "violin", "tune"],
    words: {
      cheerful: ["lively", "sweet", "tuneful", "merry", "rousing", "catchy", "harmonious", "jolly"],
      gloomy: [
        "mournful",
        "shrill",
        "droning",
        "tuneless",
        "flat",
        "discordant",
        "funereal",
        "harsh",
      ],
      boastful: ["virtuoso", "magnificent", "grandiose", "celebrated", "acclaimed", "operatic"],
      dreamy: ["lilting", "ethereal", "echoing", "murmuring", "wistful", "lulling"],
    },
  },
  animals: {
    objects: ["dog", "cat", "horse", "rabbit", "parrot", "pony"],
    heldOutObjects: ["donkey", "hamster", "goose", "lamb"],
    nouns: ["paw", "nest", "herd", "tail", "kennel", "collar"],
    words: {
      cheerful: [
        "playful",
        "cuddly",
        "gentle",
        "loyal",
        "bouncy",
        "friendly",
        "nimble",
        "sprightly",
      ],
      gloomy: ["lame", "mangy", "starving", "stray", "vicious", "timid", "limping", "neglected"],
      boastful: ["pedigree", "champion", "noble", "prized", "royal", "elite"],
      dreamy: ["drowsy", "dappled", "soft-eyed", "silent-footed", "purring", "feathery"],
    },
  },
  home: {
    objects: ["sofa", "bedroom", "kitchen", "fireplace", "attic", "balcony"],
    heldOutObjects: ["cellar", "bathroom", "porch", "armchair"],
    nouns: ["room", "window", "hallway", "roof", "carpet", "staircase"],
    words: {
      cheerful: ["cosy", "tidy", "snug", "spacious", "welcoming", "homely", "airy", "restful"],
      gloomy: ["draughty", "dusty", "leaky", "cluttered", "creaky", "shabby", "cracked", "musty"],
      boastful: ["palatial", "grand", "opulent", "regal", "impressive", "monumental"],
      dreamy: ["lamplit", "candlelit", "sleepy", "nestled", "sun-warmed", "quiet"],
    },
  },
  sport: {
    objects: ["game", "football", "tennis", "marathon", "cricket", "swim"],
    heldOutObjects: ["rowing", "hockey", "relay", "tournament"],
    nouns: ["match", "team", "pitch", "race", "coach", "score"],
    words: {
      cheerful: [
        "thrilling",
        "winning",
        "energetic",
        "spirited",
        "splendid",
        "fair",
        "exciting",
        "triumphant",
      ],
      gloomy: [
        "losing",
        "clumsy",
        "sluggish",
        "hopeless",
        "injured",
        "disappointing",
        "one-sided",
        "defeated",
      ],
      boastful: [
        "invincible",
        "dominant",
        "undefeated",
        "heroic",
        "medal-winning",
        "all-conquering",
      ],
      dreamy: ["gliding", "flowing", "weightless", "swaying", "effortless", "soaring"],
    },
  },
  books: {
    objects: ["novel", "poem", "diary", "fairy tale", "biography", "mystery"],
    heldOutObjects: ["memoir", "essay", "comedy", "thriller"],
    nouns: ["chapter", "plot", "page", "author", "library", "story"],
    words: {
      cheerful: [
        "charming",
        "witty",
        "gripping",
        "delightful",
        "clever",
        "enchanting",
        "inspiring",
        "heartwarming",
      ],
      gloomy: [
        "dismal",
        "tragic",
        "tiresome",
        "confusing",
        "long-winded",
        "unreadable",
        "depressing",
        "forgettable",
      ],
      boastful: ["immortal", "definitive", "bestselling", "scholarly", "towering", "canonical"],
      dreamy: ["dreamlike", "lyrical", "mystical", "fanciful", "whimsical", "timeless"],
    },
  },
};

/** All topics. */
export const personaTopics: readonly PersonaTopic[] = [
  "weather",
  "food",
  "travel",
  "garden",
  "work",
  "music",
  "animals",
  "home",
  "sport",
  "books",
];

/** All personas; the first is the helper's default. */
export const personas: readonly Persona[] = ["cheerful", "gloomy", "boastful", "dreamy"];
