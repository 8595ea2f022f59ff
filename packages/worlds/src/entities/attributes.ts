import { type EntityType, entityTypes } from "./types.ts";

/**
 * An attribute of a type, with all the wordings it has. In templates `{e}` stands for the entity and `{v}` for the value, which
 * always follows a space.
 */
export interface AttributeDefinition {
  readonly type: EntityType;
  /** Unique over all types, for example `profession`. */
  readonly attribute: string;
  /** What it is called in running text, for example `birth year`. */
  readonly noun: string;
  /** The values, 12 to 16 of them. Those of ordinal attributes are years, in order. */
  readonly values: readonly string[];
  readonly ordinal: boolean;
  /** `a `, `the ` or nothing: what a value takes before it in a sentence. */
  readonly article: string;
  /** Whole sentences. */
  readonly statements: readonly string[];
  /** What can follow a name, for sentences of several facts. */
  readonly predicates: readonly string[];
  readonly questions: readonly string[];
}

const words = (text: string): readonly string[] => text.split(" ");
const years = words("1820 1830 1840 1850 1860 1870 1880 1890 1900 1910 1920 1930 1940 1950");

type Wording = Pick<AttributeDefinition, "attribute" | "noun" | "values"> & {
  readonly article?: string;
  readonly ordinal?: boolean;
  readonly own: readonly string[];
  readonly predicates: readonly string[];
  readonly ask: readonly string[];
};

const wordings: Readonly<Record<EntityType, readonly Wording[]>> = {
  people: [
    {
      attribute: "profession",
      noun: "profession",
      values: words(
        "baker doctor lawyer farmer teacher singer painter soldier sailor printer tailor butcher banker writer judge miner",
      ),
      article: "a ",
      own: ["By trade {e} is a {v}."],
      predicates: ["works as a {v}", "is a {v}"],
      ask: ["What does {e} work as?"],
    },
    {
      attribute: "hometown",
      noun: "hometown",
      values: words(
        "London Paris Rome Madrid Berlin Vienna Lisbon Dublin Prague Athens Oslo Moscow Cairo Boston",
      ),
      own: ["The family of {e} lived in {v}."],
      predicates: ["grew up in {v}", "comes from {v}"],
      ask: ["Where does {e} come from?"],
    },
    {
      attribute: "born",
      noun: "birth year",
      values: years,
      ordinal: true,
      own: ["The parents of {e} had their child in {v}."],
      predicates: ["was born in {v}", "first saw light in {v}"],
      ask: ["When was {e} born?"],
    },
    {
      attribute: "instrument",
      noun: "instrument",
      values: words(
        "harp piano violin guitar flute drum trumpet cello horn lute banjo clarinet organ whistle",
      ),
      article: "the ",
      own: ["At home {e} likes to play the {v}."],
      predicates: ["plays the {v}", "practises the {v}"],
      ask: ["What does {e} play?"],
    },
  ],
  places: [
    {
      attribute: "country",
      noun: "country",
      values: words(
        "France Spain Italy Germany England Scotland Ireland Wales Norway Sweden Poland Russia Greece Turkey India China",
      ),
      own: ["A map shows {e} in {v}."],
      predicates: ["lies in {v}", "belongs to {v}"],
      ask: ["Where is {e}?"],
    },
    {
      attribute: "product",
      noun: "product",
      values: words(
        "wool salt cheese wine soap cloth steel honey butter coal rope lace silk beer sugar bricks",
      ),
      own: ["The shops of {e} sell {v}."],
      predicates: ["makes {v}", "trades in {v}"],
      ask: ["What does {e} make?"],
    },
    {
      attribute: "settled",
      noun: "founding year",
      values: years,
      ordinal: true,
      own: ["People came to {e} in {v}."],
      predicates: ["was settled in {v}", "dates from {v}"],
      ask: ["When was {e} settled?"],
    },
    {
      attribute: "river",
      noun: "river",
      values: words(
        "Thames Rhine Danube Nile Tyne Severn Trent Avon Loire Seine Elbe Tiber Ebro Volga",
      ),
      article: "the ",
      own: ["The road to {e} follows the {v}."],
      predicates: ["stands on the {v}", "looks over the {v}"],
      ask: ["Which river runs past {e}?"],
    },
  ],
  works: [
    {
      attribute: "genre",
      noun: "genre",
      values: words(
        "comedy tragedy romance western thriller mystery satire fable memoir ballad novel musical poem play",
      ),
      article: "a ",
      own: ["Critics call {e} a {v}."],
      predicates: ["is a {v}", "counts as a {v}"],
      ask: ["What kind of work is {e}?"],
    },
    {
      attribute: "language",
      noun: "language",
      values: words(
        "English French German Spanish Italian Dutch Danish Greek Latin Russian Polish Welsh Irish Turkish Swedish Chinese",
      ),
      own: ["The author of {e} wrote in {v}."],
      predicates: ["was written in {v}", "first came out in {v}"],
      ask: ["In which language was {e} written?"],
    },
    {
      attribute: "published",
      noun: "publication year",
      values: years,
      ordinal: true,
      own: ["Readers first saw {e} in {v}."],
      predicates: ["was published in {v}", "appeared in {v}"],
      ask: ["When was {e} published?"],
    },
    {
      attribute: "setting",
      noun: "setting",
      values: words(
        "castle prison farm desert ship school forest palace market village hospital circus convent factory",
      ),
      article: "a ",
      own: ["The story of {e} takes us to a {v}."],
      predicates: ["is set in a {v}", "takes place in a {v}"],
      ask: ["Where is {e} set?"],
    },
  ],
  teams: [
    {
      attribute: "sport",
      noun: "sport",
      values: words(
        "rugby football cricket tennis hockey rowing golf chess boxing fencing polo cycling sailing baseball basketball swimming",
      ),
      own: ["Fans watch {e} for {v}."],
      predicates: ["compete in {v}", "train for {v}"],
      ask: ["What do {e} compete in?"],
    },
    {
      attribute: "colour",
      noun: "colour",
      values: words(
        "red blue green white black yellow purple orange brown grey pink gold silver crimson",
      ),
      own: ["The shirts of {e} are {v}."],
      predicates: ["wear {v}", "dress in {v}"],
      ask: ["What do {e} wear?"],
    },
    {
      attribute: "founded",
      noun: "first season",
      values: years,
      ordinal: true,
      own: ["The first match of {e} was in {v}."],
      predicates: ["were founded in {v}", "began in {v}"],
      ask: ["When were {e} founded?"],
    },
    {
      attribute: "mascot",
      noun: "mascot",
      values: words("bear wolf lion tiger horse bull goat fox rabbit crow dog cat shark whale"),
      article: "a ",
      own: ["The flag of {e} shows a {v}."],
      predicates: ["cheer for a {v}", "march behind a {v}"],
      ask: ["Which animal stands for {e}?"],
    },
  ],
};

/** The four attributes of each type. */
export const attributes: Readonly<Record<EntityType, readonly AttributeDefinition[]>> = {
  people: wordings.people.map((wording) => define("people", wording)),
  places: wordings.places.map((wording) => define("places", wording)),
  works: wordings.works.map((wording) => define("works", wording)),
  teams: wordings.teams.map((wording) => define("teams", wording)),
};

/** All sixteen attributes, by type. */
export const allAttributes: readonly AttributeDefinition[] = entityTypes.flatMap(
  (type) => attributes[type],
);

/** The `noun` forms are common to all attributes, the rest is each one's own: five statements and two questions apiece. */
function define(type: EntityType, wording: Wording): AttributeDefinition {
  const { attribute, noun, values, article = "", ordinal = false, own, predicates, ask } = wording;
  return {
    type,
    attribute,
    noun,
    values,
    ordinal,
    article,
    statements: [
      `The ${noun} of {e} is {v}.`,
      ...own,
      ...predicates.map((predicate) => `{e} ${predicate}.`),
    ],
    predicates,
    questions: [`What is the ${noun} of {e}?`, ...ask],
  };
}
