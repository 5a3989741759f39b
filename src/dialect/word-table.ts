/**
 * Tables of words that others write.
 */

/** What a table says of a word; nothing of one like `constructor`, which every object has without being told of it. */
export const wordIn = <A>(table: Readonly<Record<string, A>>, word: unknown): A | undefined =>
  typeof word === "string" && Object.hasOwn(table, word) ? table[word] : undefined
