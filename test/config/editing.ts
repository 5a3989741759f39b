/**
 * Arbitrary nexus.toml texts with comments, odd strings and every kind of line end, in parts that say what belongs together.
 */
import fc from "fast-check"

/** A table with its comments, as the lines it takes. */
interface Part {
  /** Name of the backend that the part is; undefined for other tables. */
  readonly backend: string | undefined
  readonly lines: ReadonlyArray<string>
}

/** A text, and the parts it is made of with blank lines between them. */
export interface Written {
  readonly parts: ReadonlyArray<Part>
  readonly textOf: (parts: ReadonlyArray<Part>) => string
}

const lookAlike = fc.constantFrom(
  `note = """\n[[backends]]\nname = "b0"\n\n# over\n"""`,
  `note = '''\n# [[backends]]\n\n[[backends]]\nname = 'zz' '''`,
  `note = "[[backends]] # no comment"`,
  `note = [ "[[backends]]", # a comment ]\n  '# x = 1',\n]`,
  `note = { a = "]", "b.c" = [ 1 ] } # kept`
)

const comment = fc.constantFrom("# [[backends]] are below", "  # indented", "#", "# wörter", '# "quoted')
const off = fc.constantFrom("# priority = 3", '#type = "vllm"', "## max_concurrent = 4")

const lines = (each: fc.Arbitrary<string>): fc.Arbitrary<ReadonlyArray<string>> => each.map((text) => text.split("\n"))

const some = <A>(each: fc.Arbitrary<A>) => fc.array(each, { maxLength: 2 })

const pairs = fc
  .tuple(
    fc.constantFrom([], ["priority = 1"], ["  priority   =  1   # first"], ["type = 'vllm'#x"]),
    fc.option(lookAlike)
  )
  .chain(([plain, odd]) => fc.constant([...plain, ...(odd === null ? [] : odd.split("\n"))]))

const headers = ["[[backends]]", "  [[backends]]  # a server", '[[ "backends" ]]', "[['backends']] #"]
const names = (name: string) => [`name = "${name}"`, `"name"='${name}'`, `name = "${name}" # [[backends]]`]

const subTable = fc.constantFrom(
  [],
  ["[[backends.models]]", 'id = "a" # m'],
  ["", "# what it can do", "[[backends.models]]", 'id = "a"', "", "[[backends.models]]", "id = 'b'"],
  ["[backends.notes]", 'x = """', "[routing]", '"""']
)

const backendPart = (name: string): fc.Arbitrary<Part> =>
  fc
    .tuple(
      some(comment),
      fc.constantFrom(...headers),
      fc.constantFrom(...names(name)),
      pairs,
      some(off),
      subTable,
      some(off)
    )
    .map(([above, header, named, more, offs, sub, below]) => ({
      backend: name,
      lines: [...above, header, named, ...more, ...offs, ...sub, ...below]
    }))

const otherPart = (name: string): fc.Arbitrary<Part> =>
  fc
    .tuple(some(comment), lines(lookAlike), some(off))
    .map(([above, body, below]) => ({ backend: undefined, lines: [...above, `[${name}]`, ...body, ...below] }))

const loose = some(fc.oneof(comment, off, fc.constant("# [[backends]]"))).map((all) => ({
  backend: undefined,
  lines: all
}))
const topPart = fc.oneof(
  loose,
  lines(lookAlike).map((all) => ({ backend: undefined, lines: all }))
)

/** Texts whose parts stand apart by one blank line. */
export const written: fc.Arbitrary<Written> = fc
  .record({
    top: topPart,
    kinds: fc.array(fc.boolean(), { maxLength: 5 }),
    mark: fc.constantFrom("", "\ufeff"),
    end: fc.constantFrom("\n", "\r\n"),
    closed: fc.boolean()
  })
  .chain(({ top, kinds, mark, end, closed }) =>
    fc
      .tuple(...kinds.map((isBackend, at) => (isBackend ? backendPart(`b${at}`) : otherPart(`t${at}`))))
      .map((rest) => ({
        parts: [top, ...rest].filter((part) => part.lines.length > 0),
        textOf: (parts: ReadonlyArray<Part>) => {
          const all = parts.flatMap((part, at) => (at === 0 ? part.lines : ["", ...part.lines]))
          return mark + all.join(end) + (closed && all.length > 0 ? end : "")
        }
      }))
  )

/** Texts of any layout: compact, with blank lines of all kinds, or nothing but those. */
export const anyText: fc.Arbitrary<string> = fc
  .tuple(written, fc.array(fc.constantFrom("", " ", "\t", "\n"), { minLength: 7, maxLength: 7 }), fc.boolean())
  .map(([{ parts, textOf }, gaps, compact]) => {
    if (parts.length === 0) return textOf([]) + gaps.slice(0, 2).join("")
    const spaced = parts.flatMap((part, at) => {
      const gap = (gaps[at] ?? "").split("\n").map((line) => line)
      return [part, ...(compact ? [] : [{ backend: undefined, lines: gap }])]
    })
    const text = textOf([{ backend: undefined, lines: spaced.flatMap((part) => part.lines) }])
    return text
  })

/** Text that strangers would like to end a string, a line or a table with. */
export const hostile: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        '"',
        "'",
        "\\",
        "\n",
        "\r",
        "\u0000",
        "\u007f",
        "]]",
        "[[backends]]",
        "#",
        "${",
        "$${",
        "}",
        "a",
        "=",
        "\ufeff",
        "\u2028"
      )
    )
    .map((all) => all.join(""))
)
