/** Ways of hinting at a word. */
export type ClueStyle =
  | "classification"
  | "contrast"
  | "culture"
  | "function"
  | "idiom"
  | "letters"
  | "nature"
  | "origin"
  | "place"
  | "sensory";

/** What stands for "the word" in sentences, so that their grammar holds. */
export interface SecretWord {
  readonly word: string;
  /** All forms that count as saying it; the word first. */
  readonly forms: readonly string[];
  /** How it is talked about as a thing: `the moon`, `the colour green`, `a jump`. */
  readonly phrase: string;
  /** Predicates that fit after "It ..." by style; none contains any form of the word. */
  readonly clues: readonly { readonly style: ClueStyle; readonly text: string }[];
}

type ClueTable = Readonly<Record<ClueStyle, readonly string[]>>;

function secret(
  word: string,
  forms: readonly string[],
  phrase: string,
  table: ClueTable,
): SecretWord {
  // Object.entries forgets which strings the keys are.
  const styles = Object.entries(table) as [ClueStyle, readonly string[]][];
  const clues = styles.flatMap(([style, texts]) => texts.map((text) => ({ style, text })));
  return { word, forms: [word, ...forms], phrase, clues };
}

/** The twenty words, each with its clues. */
export const secretTable: readonly SecretWord[] = [
  secret("moon", ["moons"], "the moon", {
    sensory: ["is pale and round", "shines with a cold light", "looks silver at night"],
    function: ["pulls the tides", "lights the way after dark", "helps to count the months"],
    place: ["hangs high in the sky", "can be seen above the roofs", "stands over the sea"],
    nature: ["goes around the earth", "grows and shrinks each month", "has dust and craters"],
    idiom: ["is what lovers promise each other", "makes wolves howl"],
    contrast: ["is smaller than the sun", "is not a star", "is no planet"],
    letters: ["has four letters", "has two of the same vowel"],
    origin: ["is as old as the earth", "gave a weekday its name"],
    culture: ["was reached by a rocket", "is on many flags", "has a man in it, children say"],
    classification: ["belongs to the heavens"],
  }),
  secret("gold", ["golds", "golden"], "gold", {
    sensory: ["is yellow and heavy", "glitters in the light", "feels soft for a metal"],
    function: ["is made into rings", "pays for everything", "crowns a king"],
    place: ["lies in rivers and mines", "is kept in a bank", "sits in a treasure chest"],
    nature: ["never rusts", "is dug from the rock", "comes in small grains"],
    idiom: ["is what silence is", "is at the end of the rainbow"],
    contrast: ["is dearer than silver", "is no stone", "is not iron"],
    letters: ["has four letters", "begins like game"],
    origin: ["was prized by the oldest kings", "came with dying stars"],
    culture: ["goes to the winner of a race", "was guarded by dragons", "made men rush west"],
    classification: ["is a metal"],
  }),
  secret("leaf", ["leaves"], "a leaf", {
    sensory: ["is thin and flat", "rustles in the wind", "turns red and brown"],
    function: ["catches the light for the tree", "shades the branch", "makes a cup of tea"],
    place: ["hangs on a branch", "lies on the ground in autumn", "floats on the pond"],
    nature: ["falls from the tree", "opens in spring", "has fine veins"],
    idiom: ["is turned over by those who change", "may be taken from another's page"],
    contrast: ["is not the root", "is no flower", "is smaller than a bough"],
    letters: ["has four letters", "ends like a scarf"],
    origin: ["grows from a bud", "has always dressed the woods"],
    culture: ["is on the flag of Canada", "covered Adam", "makes a wreath"],
    classification: ["is a part of a plant"],
  }),
  secret("book", ["books"], "a book", {
    sensory: ["smells of paper", "feels heavy in the hand", "rustles when pages turn"],
    function: ["tells a story", "teaches those who read", "keeps what was written"],
    place: ["stands on a shelf", "is borrowed from a library", "lies beside the bed"],
    nature: ["is made of paper", "has a spine but no bones", "was once a tree"],
    idiom: ["is not to be judged by its cover", "can be gone by"],
    contrast: ["is longer than a letter", "is not a film", "is no newspaper"],
    letters: ["has four letters", "has two of the same vowel"],
    origin: ["was copied by monks", "came with the printing press"],
    culture: ["is read by scholars", "may be holy", "has chapters and a title"],
    classification: ["belongs to reading"],
  }),
  secret("salt", ["salts", "salty"], "salt", {
    sensory: ["tastes of the sea", "is white and fine", "stings in a wound"],
    function: ["seasons the soup", "keeps meat from going bad", "melts ice on roads"],
    place: ["stands beside the pepper", "is found in the sea", "lies deep in old mines"],
    nature: ["forms small cubes", "is left when the sea dries", "dissolves in water"],
    idiom: ["is taken by the grain by those in doubt", "is worth of a good man"],
    contrast: ["is not sugar", "is no spice", "is not pepper"],
    letters: ["has four letters", "rhymes with halt"],
    origin: ["paid Roman soldiers", "comes from ancient seas"],
    culture: ["is thrown over the shoulder", "was worth a march in India", "is on every table"],
    classification: ["belongs to the kitchen"],
  }),
  secret("chair", ["chairs"], "a chair", {
    sensory: [
      "feels hard or soft to sit on",
      "creaks when one leans back",
      "is often made of wood",
    ],
    function: ["gives tired legs a rest", "is there to sit on", "holds one guest"],
    place: ["stands at the table", "is found in every office", "waits in the kitchen"],
    nature: ["has four legs but never walks", "has a back but no head", "has arms at times"],
    idiom: ["is taken by whoever leads the meeting", "may be musical at a party"],
    contrast: ["is not a bed", "is smaller than a sofa", "is no stool"],
    letters: ["has five letters", "rhymes with stair"],
    origin: ["was a throne for the ancients", "is made by a carpenter"],
    culture: ["rocks for grandmothers", "was too big for Goldilocks", "is kept for the guest"],
    classification: ["is a piece of furniture"],
  }),
  secret("clock", ["clocks"], "a clock", {
    sensory: ["ticks all day", "rings at noon", "has a round face"],
    function: ["tells the time", "wakes the sleeper", "counts the hours"],
    place: ["hangs on the wall", "is set in a tower", "stands by the bed"],
    nature: ["has hands but no fingers", "runs without legs", "needs winding or a battery"],
    idiom: ["cannot be turned back", "is raced against"],
    contrast: ["is bigger than a watch", "is not a calendar", "is no compass"],
    letters: ["has five letters", "rhymes with sock"],
    origin: ["followed the sundial", "was built by monks"],
    culture: [
      "has a cuckoo in the mountains",
      "strikes twelve for Cinderella",
      "is famous in London",
    ],
    classification: ["is an instrument"],
  }),
  secret("cloud", ["clouds", "cloudy"], "a cloud", {
    sensory: ["is white and soft to look at", "turns grey before rain", "looks like wool"],
    function: ["brings the rain", "hides the sun", "gives shade to the field"],
    place: ["floats in the sky", "sits on the mountain top", "drifts over the hills"],
    nature: ["is made of tiny drops", "moves with the wind", "has no fixed shape"],
    idiom: ["has a silver lining", "is number nine for the happy"],
    contrast: ["is not smoke", "is higher than fog", "is no star"],
    letters: ["has five letters", "rhymes with loud"],
    origin: ["rises from the warm sea", "begins as steam"],
    culture: ["carries angels in paintings", "was the seat of the gods", "keeps our files today"],
    classification: ["belongs to the weather"],
  }),
  secret("dance", ["dances", "danced", "dancing", "dancer", "dancers"], "a dance", {
    sensory: ["makes one warm and breathless", "is seen and heard at once", "follows the beat"],
    function: ["brings couples together", "keeps the body fit", "celebrates a wedding"],
    place: ["fills the ballroom", "is done on a stage", "happens at parties"],
    nature: ["needs feet and music", "goes in circles", "bees do it to tell the way"],
    idiom: ["takes two if it is a tango", "leads someone a merry way"],
    contrast: ["is not a march", "is no race", "is not a sport to everyone"],
    letters: ["has five letters", "rhymes with chance"],
    origin: ["is older than writing", "began around the fire"],
    culture: ["may be a waltz", "may be a ballet", "called down the rain"],
    classification: ["is an art of movement"],
  }),
  secret("flag", ["flags"], "a flag", {
    sensory: ["flaps in the wind", "has bright colours", "is made of cloth"],
    function: ["stands for a country", "gives signals at sea", "marks the finish"],
    place: ["flies from a pole", "hangs on the town hall", "waves on a ship"],
    nature: ["has stripes or stars", "needs wind to show itself", "is square or long"],
    idiom: ["is white for those who give up", "is red for danger"],
    contrast: ["is not a sail", "is no curtain", "is bigger than a ribbon"],
    letters: ["has four letters", "rhymes with bag"],
    origin: ["led armies into battle", "was sewn by hand"],
    culture: ["is saluted by soldiers", "was planted on the highest peak", "is folded with care"],
    classification: ["is a national sign"],
  }),
  secret("flame", ["flames", "flaming"], "a flame", {
    sensory: ["is hot and bright", "flickers in a draught", "is yellow and sometimes blue-white"],
    function: ["lights a candle", "cooks the dinner", "warms the hands"],
    place: ["sits on a wick", "leaps in the fireplace", "burns in the stove"],
    nature: ["needs air to live", "eats wood", "dies in water"],
    idiom: ["is what an old love is called", "draws the moth"],
    contrast: ["is not smoke", "is more than a spark", "is no ember"],
    letters: ["has five letters", "rhymes with name"],
    origin: ["was stolen from the gods", "begins with a match"],
    culture: ["is carried to the games", "comes from a dragon's mouth", "is kept for the fallen"],
    classification: ["is a kind of fire"],
  }),
  secret("green", ["greens", "greener"], "the colour green", {
    sensory: [
      "is the look of grass",
      "rests the eye",
      "is between yellow and the colour of the sea",
    ],
    function: ["lets the cars go", "hides a frog", "marks the fresh and unripe"],
    place: ["covers the meadow", "fills the forest in spring", "is on every lawn"],
    nature: ["is in each stem and stalk", "fades in autumn", "comes back in spring"],
    idiom: ["is the look of envy", "is how a beginner is called"],
    contrast: ["is not red", "is no metal", "is cooler than yellow"],
    letters: ["has five letters", "has two of the same vowel"],
    origin: ["shares its root with grow", "is mixed from two others"],
    culture: ["is worn in Ireland", "was the coat of Robin Hood", "stands for hope"],
    classification: ["is a colour"],
  }),
  secret("jump", ["jumps", "jumped", "jumping"], "a jump", {
    sensory: ["lifts both feet", "lasts a moment", "ends with a thud"],
    function: ["clears a fence", "crosses a ditch", "reaches the high shelf"],
    place: ["is done on a trampoline", "is judged in the sand pit", "ends in the pool"],
    nature: ["is how a frog gets about", "needs strong legs", "is what fleas do best"],
    idiom: ["is made to conclusions", "is made for joy"],
    contrast: ["is not a fall", "is more than a step", "is no flight"],
    letters: ["has four letters", "rhymes with bump"],
    origin: ["comes from play", "begins with bent knees"],
    culture: ["is part of the games", "belongs to the kangaroo", "is done over a rope"],
    classification: ["is a movement"],
  }),
  secret("rock", ["rocks", "rocky"], "a rock", {
    sensory: ["is hard and rough", "is heavy in the hand", "is cold to the touch"],
    function: ["builds a wall", "breaks the waves", "holds the tent down"],
    place: ["lies on the beach", "stands in the river", "makes up the mountain"],
    nature: ["wears down to sand", "came out of a volcano", "holds fossils"],
    idiom: ["is what a loyal friend is", "is a hard place's partner"],
    contrast: ["is bigger than a pebble", "is not wood", "is no metal"],
    letters: ["has four letters", "rhymes with lock"],
    origin: ["is as old as the hills", "was once liquid fire"],
    culture: ["beats scissors", "gave a loud music its name", "held a king's sword"],
    classification: ["is a kind of stone"],
  }),
  secret("smile", ["smiles", "smiled", "smiling"], "a smile", {
    sensory: ["is seen on a face", "shows the teeth", "makes no sound"],
    function: ["says hello", "tells of joy", "thanks without words"],
    place: ["sits between the cheeks", "is found on photographs", "appears at the door"],
    nature: ["is catching", "needs the lips", "comes early to a baby"],
    idiom: ["costs nothing", "goes from ear to ear"],
    contrast: ["is not a frown", "is less than a laugh", "is no word"],
    letters: ["has five letters", "rhymes with mile"],
    origin: ["comes before speech", "is older than words"],
    culture: [
      "made a painted lady famous",
      "is asked for by the photographer",
      "stayed when the cat had gone",
    ],
    classification: ["is an expression"],
  }),
  secret("snow", ["snows", "snowed", "snowy"], "snow", {
    sensory: ["is white and cold", "crunches under boots", "falls without a sound"],
    function: ["carries the sledge", "covers the fields", "makes a man with a carrot nose"],
    place: ["lies on the mountains", "covers the roofs", "stays in the north"],
    nature: ["falls in flakes", "melts in spring", "comes in winter"],
    idiom: ["is what purity is as white as", "is shovelled by those with much work"],
    contrast: ["is softer than hail", "is not rain", "is no ice"],
    letters: ["has four letters", "rhymes with slow"],
    origin: ["begins as a crystal", "comes from cold air"],
    culture: ["lies at Christmas", "names a fair princess", "closes the schools"],
    classification: ["belongs to the weather"],
  }),
  secret("song", ["songs"], "a song", {
    sensory: ["is heard, not seen", "has a tune", "may be loud or soft"],
    function: ["lulls a child to sleep", "is sung at birthdays", "tells of love"],
    place: ["is on the radio", "rises from the choir", "fills the church"],
    nature: ["comes from birds at dawn", "needs a voice", "has verses"],
    idiom: ["is what a cheap thing goes for", "is the swan's last"],
    contrast: ["is not a speech", "is shorter than an opera", "is no noise"],
    letters: ["has four letters", "rhymes with long"],
    origin: ["was first hummed", "is passed from mother to child"],
    culture: ["stands for a country at games", "was played by bards", "lures sailors"],
    classification: ["is a piece of music"],
  }),
  secret("wave", ["waves", "waved", "waving"], "a wave", {
    sensory: ["is wet and foaming", "roars on the shore", "rises and falls"],
    function: ["carries the surfer", "says goodbye by hand", "rocks the boat"],
    place: ["breaks on the beach", "rolls over the ocean", "runs through the crowd"],
    nature: ["is driven by the wind", "has a crest", "shapes the cliffs"],
    idiom: ["is not to be made by the careful", "is ridden by the lucky"],
    contrast: ["is not the tide", "is bigger than a ripple", "is no stream"],
    letters: ["has four letters", "rhymes with cave"],
    origin: ["begins far out at sea", "comes from a storm"],
    culture: ["was painted in Japan", "bears light and sound", "goes round the stadium"],
    classification: ["belongs to the sea"],
  }),
  secret("ship", ["ships"], "a ship", {
    sensory: ["is large and slow", "smells of tar", "has a deep horn"],
    function: ["carries goods across the sea", "brings sailors home", "hunts for whales"],
    place: ["lies in the harbour", "sails on the ocean", "rests on the sea bed at times"],
    nature: ["floats though it is heavy", "has a mast and a hull", "has a bow and a stern"],
    idiom: ["is left by rats when it sinks", "has come in for the lucky"],
    contrast: ["is bigger than a boat", "is not a plane", "is no raft"],
    letters: ["has four letters", "rhymes with trip"],
    origin: ["began as a hollow tree", "was built by Vikings"],
    culture: ["has a captain", "hit an iceberg", "is christened with a bottle"],
    classification: ["is a vessel"],
  }),
  secret("blue", ["blues", "bluer"], "the colour blue", {
    sensory: ["is the look of the sky", "seems cool", "is deep like the sea"],
    function: ["paints the ocean on maps", "marks cold water on a tap", "is the ink of pens"],
    place: ["is overhead on a clear day", "is in the flag of France", "is in the eyes of some"],
    nature: ["is rare in food", "is on the kingfisher", "is in the hottest stars"],
    idiom: ["is how the sad feel", "is where surprises come out of"],
    contrast: ["is not red", "is no shape", "is cooler than orange"],
    letters: ["has four letters", "rhymes with true"],
    origin: ["came from a rare stone", "is one of three from which others are mixed"],
    culture: ["is worn by sailors", "names a slow music", "is for a baby boy"],
    classification: ["is a colour"],
  }),
];

/** The words, in the order of the table. */
export const secretWords: readonly string[] = secretTable.map(({ word }) => word);

/** Each word's forms, the word first. */
export const secretVariants: ReadonlyMap<string, readonly string[]> = new Map(
  secretTable.map(({ word, forms }) => [word, forms]),
);
