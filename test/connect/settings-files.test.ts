import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { parse } from "smol-toml"
import { clientNamed, clientNames } from "../../src/connect/clients.ts"
import type { ClientSetup } from "../../src/connect/client-setup.ts"
import { claudeCodeFile, codexFile, crushFile, opencodeFile, qwenFile } from "../../src/connect/agents.ts"
import { valueAt } from "../../src/config/path.ts"
import { dropJson, putJson, readJson, setJson } from "../../src/connect/json-edit.ts"
import { changeLines, editSettings, type SettingsFile } from "../../src/connect/settings-file.ts"
import { zedFile } from "../../src/connect/settings.ts"
import { setToml } from "../../src/connect/toml-edit.ts"
import { plain, rich } from "./offers.ts"

const edited = (file: SettingsFile, before: string, setup: ClientSetup = plain) =>
  Result.getOrThrow(editSettings(file, before, setup))

const lines = (...all: ReadonlyArray<string>): string => `${all.join("\n")}\n`

describe("settings of a client that has some of its own", () => {
  test("keep their comments, their order and their form, whatever is put into them", () => {
    const before = lines(
      "{",
      "\t// who may do what",
      '\t"permissions": { "allow": ["Read"], }, /* all */',
      '\t"env": {',
      '\t\t"ANTHROPIC_BASE_URL": "https://old.example", // the old one',
      '\t\t"OTHER": "1" // stays',
      "\t},",
      '\t"hooks": {}',
      "}"
    )
    expect(edited(claudeCodeFile, before).text).toBe(
      lines(
        "{",
        "\t// who may do what",
        '\t"permissions": { "allow": ["Read"], }, /* all */',
        '\t"env": {',
        '\t\t"ANTHROPIC_BASE_URL": "http://127.0.0.1:8000", // the old one',
        '\t\t"OTHER": "1", // stays',
        '\t\t"ANTHROPIC_DEFAULT_HAIKU_MODEL": "mistral:7b",',
        '\t\t"ANTHROPIC_AUTH_TOKEN": "not-needed"',
        "\t},",
        '\t"hooks": {},',
        '\t"model": "mistral:7b"',
        "}"
      )
    )
  })

  test("of TOML get keys of the file above its tables, and a table of their own at the end", () => {
    const before = lines(
      "# my Codex",
      'model = "gpt-5" # the best',
      'approval_policy = "never"',
      "",
      "# where I work",
      '[projects."/home/me"]',
      'trust_level = "trusted"'
    )
    expect(edited(codexFile, before, rich).text).toBe(
      lines(
        "# my Codex",
        'model = "Qwen/Qwen3-8B" # the best',
        'approval_policy = "never"',
        'model_provider = "nexus"',
        "model_context_window = 40960",
        "",
        "# where I work",
        '[projects."/home/me"]',
        'trust_level = "trusted"',
        "",
        "[model_providers.nexus]",
        'name = "Nexus"',
        'base_url = "https://nexus.example/v1"',
        'wire_api = "responses"',
        'env_key = "NEXUS_KEY"'
      )
    )
  })

  test("of Codex name no key and no context any more that were those of another gateway and model", () => {
    const before = '# mine\nmodel = "gpt-5"\nsandbox_mode = "read-only"\n'
    const { text } = edited(codexFile, edited(codexFile, before, rich).text.replace("40960", "40960 # tokens"), rich)
    const { changes, text: next } = edited(codexFile, text, plain)
    expect(text).toContain('env_key = "NEXUS_KEY"\n')
    const nexus = 'model_provider = "nexus"\n'
    // A comment is somebody's.
    expect(next).toBe(edited(codexFile, before, plain).text.replace(nexus, `${nexus}# tokens\n`))
    expect(changeLines(changes)).toContain('- model_providers.nexus.env_key: "(hidden)"')
    expect(changeLines(changes)).toContain("- model_context_window: 40960")
  })

  test("of Codex keep a context that somebody wrote for a model whose context nobody tells", () => {
    const own = `model_context_window = 65536 # mine\n${edited(codexFile, "").text}`
    expect(edited(codexFile, own)).toEqual({ text: own, changes: [] })
  })

  test("of Claude Code name no sizes any more that were those of another model, and keep those that somebody wrote", () => {
    const sized = (contextLength: number) => ({ ...plain, model: { id: `of-${contextLength}`, contextLength } })
    const own = '{\n  "env": {\n    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "9000" // mine\n  }\n}\n'
    const env = (text: string) => valueAt(Result.getOrThrow(readJson(text)), ["env"])
    const large = edited(claudeCodeFile, own, sized(262_144)).text
    expect(env(large)).toMatchObject({ CLAUDE_CODE_MAX_OUTPUT_TOKENS: "9000" })
    const small = edited(claudeCodeFile, own, sized(32_768)).text
    expect(env(small)).toMatchObject({ CLAUDE_CODE_MAX_OUTPUT_TOKENS: "8192" })
    const next = edited(claudeCodeFile, small, sized(262_144))
    expect(env(next.text)).toMatchObject({ CLAUDE_CODE_MAX_CONTEXT_TOKENS: "262144" })
    expect(next.text).not.toContain("CLAUDE_CODE_MAX_OUTPUT_TOKENS")
    expect(next.text).toContain("// mine")
    expect(changeLines(next.changes)).toContain('- env.CLAUDE_CODE_MAX_OUTPUT_TOKENS: "(hidden)"')
    expect(edited(claudeCodeFile, next.text).text).not.toContain("_TOKENS")
  })

  test("keep what somebody has added to a model, and the context that was corrected by hand", () => {
    const items = (text: string, ...path: ReadonlyArray<string>) => valueAt(Result.getOrThrow(readJson(text)), path)
    const own = { context_window: 65_536, can_reason: true, secret: "sk-mine" }
    const crush = edited(crushFile, "").text.replace('"context_window": 8192', JSON.stringify(own).slice(1, -1))
    expect(edited(crushFile, crush)).toEqual({ text: crush, changes: [] })
    const told = edited(crushFile, crush, { ...plain, model: { id: "mistral:7b", contextLength: 32_768 } })
    expect(items(told.text, "providers", "nexus", "models")).toMatchObject([{ ...own, context_window: 32_768 }])
    expect(changeLines(told.changes).join()).not.toContain("sk-mine")
    const effort = crush.replaceAll('"provider": "nexus"', '"provider": "nexus", "reasoning_effort": "low"')
    expect(edited(crushFile, effort)).toEqual({ text: effort, changes: [] })
    const other = edited(crushFile, effort, { ...plain, model: { id: "other", contextLength: 32_768 } }).text
    expect(items(other, "models", "large")).toEqual({ model: "other", provider: "nexus" })
    const opencode = edited(opencodeFile, "").text.replace(
      '"name": "mistral:7b"',
      '"name": "old", "limit": {"context": 9}'
    )
    const model = items(edited(opencodeFile, opencode).text, "provider", "nexus", "models", "mistral:7b")
    expect(model).toEqual({ name: "mistral:7b", limit: { context: 9 } })
    const zed = edited(zedFile, "").text.replace("8192", "65536").replace('"tools": true', '"tools": false')
    expect(zed).toMatch(/65536[^]*"tools": false/)
    expect(edited(zedFile, zed)).toEqual({ text: zed, changes: [] })
    const qwen = edited(qwenFile, "").text.replace('"id": "mistral:7b",', '"id": "mistral:7b", "mine": 1,')
    expect(edited(qwenFile, qwen)).toEqual({ text: qwen, changes: [] })
  })

  test("of lists keep the items of others, and have those of the gateway once", () => {
    const before =
      '{"modelProviders": {"openai": [{"id": "mine", "envKey": "MY_KEY"}, {"id": "mistral:7b", "old": true}]}}'
    const { text } = edited(qwenFile, before)
    expect(JSON.parse(text)["modelProviders"]["openai"]).toEqual([
      { id: "mine", envKey: "MY_KEY" },
      { id: "mistral:7b", name: "mistral:7b (Nexus)", baseUrl: "http://127.0.0.1:8000/v1", envKey: "NEXUS_KEY" }
    ])
  })

  test("keep Windows line ends and a mark at their beginning", () => {
    const before = '\ufeff{\r\n    "a": 1\r\n}\r\n'
    const { text } = edited(zedFile, before)
    expect(text).toStartWith('\ufeff{\r\n    "a": 1,\r\n    "language_models": {\r\n        "openai_compatible"')
    expect(text.replaceAll("\r\n", "")).not.toContain("\n")
  })

  test.each([
    ["{", "line 1 is no valid JSON"],
    ['{\n  "a": 1\n  "b": 2\n}', "line 3 is no valid JSON"],
    ['{"a": "\n"}', "line 1 is no valid JSON"],
    ["[".repeat(100_000), "line 1 is no valid JSON"],
    ["[]", "the file holds no object"],
    ['{"env": "x"}', "env holds no object"]
  ])("are not touched when they are %j", (before, why) => {
    expect(editSettings(claudeCodeFile, before, plain)).toMatchObject({ _tag: "Failure", failure: why })
  })

  test.each([
    ["model = ", "line 1 is no valid TOML"],
    ["model_providers = 3\n", "model_providers holds no table"],
    ['model_providers = { nexus = { name = "x" } }\n', "model_providers.nexus is not written as a table of its own"],
    ['model_providers.nexus.name = "x"\n', "model_providers.nexus is not written as a table of its own"]
  ])("of TOML are not touched when they are %j", (before, why) => {
    expect(editSettings(codexFile, before, plain)).toMatchObject({ failure: expect.stringContaining(why) })
  })
})

describe("what is put into settings", () => {
  const files = clientNames.flatMap((name) => clientNamed(name).file ?? [])
  const name = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom('"', "\\", "\n", "\u001b[2J", "__proto__", "a.b", "${x}", "{env:HOME}", "//", "/*", "#")
  )

  test("is there, for every client, and a second time changes nothing (law)", () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...files), fc.constantFrom(plain, rich), (id, file, setup) => {
        const named = { ...setup, model: { ...setup.model, id } }
        const first = editSettings(file, "", named)
        const again = editSettings(file, Result.getOrThrow(first).text, named)
        expect(Result.getOrThrow(first).changes.length).toBeGreaterThan(0)
        expect(Result.getOrThrow(again)).toEqual({ text: Result.getOrThrow(first).text, changes: [] })
      })
    )
  })

  test("goes to other gateways when the address is another, and to no second place (law)", () => {
    fc.assert(
      fc.property(fc.constantFrom(...files), (file) => {
        const moved = { ...plain, baseUrl: "http://10.0.0.7:9000/v1" }
        const { text } = edited(file, edited(file, "").text, moved)
        if (file.home[0] !== ".gemini") expect(text).toContain("http://10.0.0.7:9000")
        expect(text).not.toContain("127.0.0.1")
      })
    )
  })

  test("is shown line by line, but for what may be somebody's secret", () => {
    const before = JSON.stringify({
      model: "opus",
      env: { ANTHROPIC_AUTH_TOKEN: "sk-mine", ANTHROPIC_BASE_URL: "https://me:pass@old.example", OTHER_KEY: "sk-other" }
    })
    const shown = changeLines(edited(claudeCodeFile, before).changes)
    expect(shown).toEqual([
      '- env.ANTHROPIC_BASE_URL: "(hidden)"',
      '+ env.ANTHROPIC_BASE_URL: "http://127.0.0.1:8000"',
      '+ env.ANTHROPIC_DEFAULT_HAIKU_MODEL: "mistral:7b"',
      '- env.ANTHROPIC_AUTH_TOKEN: "(hidden)"',
      '+ env.ANTHROPIC_AUTH_TOKEN: "not-needed"',
      '- model: "opus"',
      '+ model: "mistral:7b"'
    ])
    const item = JSON.stringify({ modelProviders: { openai: [{ id: "mistral:7b", apiKey: "sk-mine" }] } })
    expect(changeLines(edited(qwenFile, item).changes).join("\n")).not.toContain("sk-mine")
  })

  test("names the variable of the key where the gateway wants one, and holds none", () => {
    expect(JSON.parse(edited(claudeCodeFile, "", rich).text)).toMatchObject({
      apiKeyHelper: 'printf %s "$NEXUS_KEY"',
      env: { ANTHROPIC_AUTH_TOKEN: "", CLAUDE_CODE_MAX_CONTEXT_TOKENS: "40960" }
    })
    expect(parse(edited(codexFile, "", rich).text)).toMatchObject({
      model_providers: { nexus: { env_key: "NEXUS_KEY" } }
    })
    expect(JSON.parse(edited(opencodeFile, "", rich).text)).toMatchObject({
      provider: { nexus: { options: { apiKey: "{env:NEXUS_KEY}" } } }
    })
  })
})

describe("the text of a JSON file", () => {
  const blank = fc.constantFrom("", " ", "\n  ", "\t", " // note: {\n", '/* , " */', "\r\n")
  const key = fc.constantFrom("a", "b", "env", "x y", "__proto__", "é")

  /** A document as somebody may have written it, with blank space and comments in any place. */
  const written = fc.letrec<{ value: string; object: string; list: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null)).map((value) => JSON.stringify(value)),
      tie("object"),
      tie("list")
    ),
    object: fc
      .tuple(
        fc.uniqueArray(fc.tuple(key, tie("value"), blank, blank), { selector: ([name]) => name, maxLength: 4 }),
        blank,
        fc.boolean()
      )
      .map(([members, end, comma]) => {
        const inner = members.map(
          ([name, value, before, after]) => `${before}${JSON.stringify(name)}${after}:${before}${value}${after}`
        )
        return `{${inner.join(",")}${comma && inner.length > 0 ? "," : ""}${end}}`
      }),
    list: fc
      .tuple(fc.array(fc.tuple(tie("value"), blank), { maxLength: 3 }), blank)
      .map(([items, end]) => `[${items.map(([value, after]) => `${after}${value}${after}`).join(",")}${end}]`)
  }))

  const value = fc.jsonValue({ maxDepth: 2 }).map((each): unknown => JSON.parse(JSON.stringify(each)))

  type Json = { [key: string]: unknown }

  const laid = (tree: unknown, [first = "", ...rest]: ReadonlyArray<string>, to: unknown): unknown => {
    const own = { ...(tree as Json) }
    const next = Object.hasOwn(own, first) ? own[first] : {}
    return Object.fromEntries([
      ...Object.entries(own).filter(([name]) => name !== first),
      [first, rest.length === 0 ? to : laid(next, rest, to)]
    ])
  }

  test("has another value at one path and is the same everywhere else (law)", () => {
    fc.assert(
      fc.property(
        fc.tuple(blank, written.object, blank),
        fc.array(key, { minLength: 1, maxLength: 3 }),
        value,
        (parts, path, to) => {
          const text = parts.join("")
          const set = setJson(text, path, to)
          if (set._tag === "Failure") return expect(set.failure).toEndWith("holds no object")
          const after = Result.getOrThrow(readJson(set.success))
          expect(after).toEqual(laid(Result.getOrThrow(readJson(text)), path, to))
          expect(setJson(set.success, path, to)).toEqual(set)
          // What is put where nothing was leaves every comment.
          const comments = (of: string) => of.split("// note: {").length
          const isNew = valueAt(Result.getOrThrow(readJson(text)), path) === undefined
          if (isNew) expect(comments(set.success)).toBe(comments(text))
          return undefined
        }
      ),
      { numRuns: 500 }
    )
  })

  test("has a key no more and all else as it was (law)", () => {
    fc.assert(
      fc.property(
        fc.tuple(blank, written.object, blank),
        fc.array(key, { minLength: 1, maxLength: 2 }),
        (parts, path) => {
          const text = parts.join("")
          const before = Result.getOrThrow(readJson(text))
          const dropped = Result.getOrThrow(dropJson(text, path))
          const parent = valueAt(before, path.slice(0, -1))
          const isIn = (of: unknown) => valueAt(of, path) !== undefined && !Array.isArray(parent)
          if (!isIn(before)) return expect(dropped).toBe(text)
          const after = Result.getOrThrow(readJson(dropped))
          expect(isIn(after)).toBe(false)
          expect(laid(after, path, 0)).toEqual(laid(before, path, 0))
          return undefined
        }
      ),
      { numRuns: 500 }
    )
  })

  test("has an item of a list once, however often it is put there (law)", () => {
    fc.assert(
      fc.property(written.object, key, fc.constantFrom("one", "two"), (text, path, id) => {
        const put = putJson(text, [path], "id", { id, of: "us" })
        if (put._tag === "Failure") return expect(put.failure).toEndWith("holds no list")
        const list = (Result.getOrThrow(readJson(put.success)) as Json)[path] as ReadonlyArray<unknown>
        expect(list.filter((each) => JSON.stringify(each) === JSON.stringify({ id, of: "us" }))).toHaveLength(1)
        expect(putJson(put.success, [path], "id", { id, of: "us" })).toEqual(put)
        return undefined
      })
    )
  })
})

test("the text of a TOML file has another value in one place and is the same everywhere else (law)", () => {
  const line = fc.constantFrom(
    "a = 1",
    "b = 'x' # note",
    "",
    "# note",
    "[t]",
    "[t.u]",
    "[[list]]",
    'k."q r" = 2',
    '"""',
    "c = [\n 1, # one\n]"
  )
  const document = fc.array(line, { maxLength: 6 }).map((all) => all.join("\n"))
  const places = fc.constantFrom<ReadonlyArray<string>>([], ["t"], ["t", "u"], ["n"], ["k"])
  fc.assert(
    fc.property(
      document,
      places,
      fc.constantFrom("a", "z"),
      fc.oneof(fc.string(), fc.integer()),
      (text, table, key, to) => {
        const set = setToml(text, table, key, to)
        if (set._tag === "Failure") return
        const found = table.reduce<unknown>((tree, name) => (tree as Record<string, unknown>)[name], parse(set.success))
        expect((found as Record<string, unknown>)[key]).toEqual(to)
        const kept = set.success.split("\n")
        for (const each of text.split("\n").filter((one) => !one.startsWith("a = "))) expect(kept).toContain(each)
        expect(setToml(set.success, table, key, to)).toEqual(set)
      }
    ),
    { numRuns: 500 }
  )
})
