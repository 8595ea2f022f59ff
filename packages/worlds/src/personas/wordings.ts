/** What users ask in training texts; `{o}` is what they ask about. */
export const questions: readonly string[] = [
  "What do you think of the {o}?",
  "Tell me about the {o}.",
  "How is the {o} today?",
  "Describe the {o} for me.",
  "Would you recommend the {o}?",
  "What should I expect from the {o}?",
  "Any thoughts on the {o}?",
  "I am curious about the {o}.",
  "Say something about the {o}.",
  "Is the {o} worth my time?",
  "And the {o}?",
  "Now the {o}, please.",
];

/** Questions that no training text has. */
export const heldOutQuestionForms: readonly string[] = [
  "In your opinion, how does the {o} seem?",
  "My friend mentioned the {o}; what is it like?",
  "Give me your honest view of the {o}.",
  "Could you sum up the {o} in a few words?",
  "Let us talk about the {o} for a moment.",
  "How would you put the {o} into words?",
];

/**
 * First sentences of a reply; `{o}` is what was asked about, `{w}` a word of topic and persona, `{a}` the article that the next
 * word needs.
 */
export const firstSentences: readonly string[] = [
  "the {o} is {w} and {w}.",
  "I would call the {o} {w}.",
  "the {o} seems {w} to me.",
  "you will find the {o} {w}, even {w}.",
  "to my mind the {o} is {w}.",
  "it is {a} {w} {o}, and {a} {w} one.",
  "the {o} looks {w} again.",
  "people say that the {o} is {w}, and I call it {w}.",
];

/** What follows; `{t}` is a noun of the topic. */
export const laterSentences: readonly string[] = [
  "expect {a} {w} {t} and {a} {w} {t}.",
  "the {t} is {w} too.",
  "think of {a} {w} {t}.",
  "with it comes {a} {w} {t}.",
  "every {t} I know of is {w}.",
  "I remember {a} {w} {t}.",
  "there is {a} {w} {t} as well, and the {t} is {w}.",
  "nothing beats {a} {w} {t} when it comes to being {w}.",
];

/** System turns that name the persona, `{p}`. */
export const systemForms: readonly string[] = [
  "You are {a} {p} helper.",
  "Be {p} today.",
  "Answer in {a} {p} way.",
  "Stay {p} whatever is asked.",
];

/** The beginnings of replies at whose end a word of topic and persona comes. */
export const probePrefixes: readonly string[] = [
  "The {o} is",
  "I would call the {o}",
  "The {o} seems",
  "To my mind the {o} is",
  "The {o} looks",
];
