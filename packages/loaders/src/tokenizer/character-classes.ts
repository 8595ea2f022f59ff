// The inside of character classes as the reference implementation means them. JavaScript's own \s counts U+FEFF and leaves out
// U+0085, its \w and \d are ASCII: text would be cut elsewhere than in training.

/** Unicode's White_Space. */
export const whitespace: string = String.raw`\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** Letters, marks, digits, connectors and joiners: \w as Rust has it. (Oniguruma's, in patterns, has no joiners.) */
export const wordCharacter: string = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d`;

/** Unicode's punctuation and all ASCII symbols. */
export const punctuation: string = String.raw`\p{P}!-\/:-@\[-\x60\{-~`;

/** How GPT-2 cuts text into words before it looks at bytes. */
export const gpt2Pattern: string =
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^${whitespace}\p{L}\p{N}]+` +
  `|[${whitespace}]+(?![^${whitespace}])|[${whitespace}]+`;
