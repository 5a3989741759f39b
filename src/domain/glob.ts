/**
 * Globs: names with `*` for any text and `?` for one character.
 */

/** Whether a text is what a glob means. */
export const matchesGlob = (glob: string, text: string): boolean => {
  let at = 0
  let next = 0
  let star = -1
  let retry = 0
  while (at < text.length) {
    if (glob[next] === "*") {
      star = next
      next += 1
      retry = at
    } else if (glob[next] === "?" || glob[next] === text[at]) {
      next += 1
      at += 1
    } else if (star >= 0) {
      next = star + 1
      retry += 1
      at = retry
    } else return false
  }
  while (glob[next] === "*") next += 1
  return next === glob.length
}

/** Whether a text is what one of some globs means. */
export const matchesAny = (globs: ReadonlyArray<string>, text: string): boolean => {
  for (const glob of globs) if (matchesGlob(glob, text)) return true
  return false
}

/** Whether a text is no name but a glob. */
export const isGlob = (text: string): boolean => /[*?]/.test(text)

/** Whether all that a glob means is meant by another as well; false where that cannot be told in a simple way. */
export const isWithin = (narrow: string, wide: string): boolean =>
  narrow === wide || (isGlob(narrow) && wide.includes("?") ? false : matchesGlob(wide, narrow))
