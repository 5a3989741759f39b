import { describe, expect, test } from "bun:test"
import { backendTypes } from "../../src/backend/all.ts"
import { mistakesOf } from "./reading.ts"

const backend = (lines: string) => `[[backends]]\nname = "one"\nurl = "http://h:1"\n${lines}\n`

const rows: ReadonlyArray<readonly [what: string, toml: string, told: string]> = [
  [
    "a value that is none of those allowed",
    `[routing]\nstrategy = "smrt"`,
    `nexus.toml:2: routing.strategy = "smrt": expected "smart" | "round_robin" | "priority_only" | "random"; did you mean "smart"?`
  ],
  [
    "an unknown key, with the one that was meant",
    `[server]\nprot = 1`,
    `nexus.toml:2: unknown key server.prot; did you mean server.port?`
  ],
  [
    "settings of Ollama for a server that is none",
    backend(`type = "vllm"\nkeep_alive = "5m"`),
    `nexus.toml:5: backends[0].keep_alive = "5m": it is for backends of type ollama alone`
  ],
  [
    "a largest context without one to begin with",
    backend(`type = "ollama"\nmax_num_ctx = 8192`),
    `nexus.toml:5: backends[0].max_num_ctx = 8192: it needs options.num_ctx to begin with`
  ],
  [
    "a largest context that is the smaller one",
    backend(`type = "ollama"\noptions = { num_ctx = 9000 }\nmax_num_ctx = 8192`),
    `nexus.toml:6: backends[0].max_num_ctx = 8192: it is less than options.num_ctx (9000)`
  ],
  ["an unknown section", `[sever]\nport = 1`, `nexus.toml:1: unknown key sever; did you mean server?`],
  [
    "a key in the wrong section",
    `[server]\nstrategy = "smart"`,
    `nexus.toml:2: unknown key server.strategy; did you mean routing.strategy?`
  ],
  ["a key that is like no other", `[server]\nzzzzzzzz = 1`, `nexus.toml:2: unknown key server.zzzzzzzz`],
  [
    "a number out of range",
    `\n[server]\nport = 70000`,
    `nexus.toml:3: server.port = 70000: expected a whole number from 0 to 65535`
  ],
  [
    "a fraction where there is none",
    `routing.max_retries = 1.5`,
    `nexus.toml:1: routing.max_retries = 1.5: expected a whole number from 0 to 10`
  ],
  [
    "a number that is none",
    `[server]\nidle_timeout_seconds = nan`,
    `nexus.toml:2: server.idle_timeout_seconds = nan: expected a number from 0 to 86400`
  ],
  [
    "the wrong type",
    `[server]\nport = "8000"`,
    `nexus.toml:2: server.port = "8000": expected a whole number from 0 to 65535`
  ],
  ["a text for a section", `server = "here"`, `nexus.toml:1: server = "here": expected a table`],
  [
    "a table for a list",
    `[backends]\nname = "x"`,
    `nexus.toml:1: backends = { name = "x" }: expected a list of tables; write [[backends]]`
  ],
  ["a date", `[server]\nhost = 1979-05-27`, `nexus.toml:2: server.host = 1979-05-27: expected text that is not empty`],
  ["an empty text", `[server]\nhost = ""`, `nexus.toml:2: server.host = "": expected text that is not empty`],
  [
    "a mistake inside an inline table",
    `[routing]\nweights = { load = -1 }`,
    `nexus.toml:2: routing.weights.load = -1: expected a whole number from 0 to 1000000`
  ],
  [
    "an item of a list of several lines",
    `[server]\nallowed_hosts = [\n  "a", # fine\n  3\n]`,
    `nexus.toml:4: server.allowed_hosts[1] = 3: expected text`
  ],
  [
    "a backend without a URL",
    `[[backends]]\nname = "one"`,
    `nexus.toml:1: backends[0].url is missing: expected a URL such as http://127.0.0.1:11434`
  ],
  [
    "a backend name that would not fit a header",
    `[[backends]]\nname = "a b"\nurl = "http://h"`,
    `nexus.toml:2: backends[0].name = "a b": expected 1 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit`
  ],
  [
    "an unknown key of a backend",
    backend("pirority = 1"),
    `nexus.toml:4: unknown key backends[0].pirority; did you mean backends[0].priority?`
  ],
  [
    "two backends of one name, with both lines",
    `${backend("")}[[backends]]\nname = "one"\nurl = "http://h:2"`,
    `nexus.toml:6: backends[1].name = "one": backends[0].name (line 2) is the same; each must be unique`
  ],
  [
    "one server twice, however its URL is written",
    `${backend("")}[[backends]]\nname = "two"\nurl = "http://H:1/v1/"`,
    `nexus.toml:7: backends[1].url = "http://H:1/v1/": backends[0].url (line 3) is the same server with the same key`
  ],
  [
    "a model twice in one backend",
    backend(`models = [{ id = "m" }, { id = "m" }]`),
    `nexus.toml:4: backends[0].models[1].id = "m": backends[0].models[0].id (line 4) is the same; each must be unique`
  ],
  [
    "two sources of one key",
    backend(`api_key_env = "HERE"\napi_key_file = "there"`),
    `nexus.toml:5: backends[0] has both api_key_env and api_key_file: keep one`
  ],
  [
    "a key pasted where its variable belongs, without showing it",
    backend(`api_key_env = "sk-proj-1234567890"`),
    `nexus.toml:4: backends[0].api_key_env = "sk-p…": expected the name of an environment variable, not the key itself`
  ],
  [
    "a key variable that is not set",
    backend(`api_key_env = "GONE"`),
    `nexus.toml:4: backends[0].api_key_env = "GONE": this environment variable is not set`
  ],
  [
    "a key variable that is empty",
    backend(`api_key_env = "EMPTY"`),
    `nexus.toml:4: backends[0].api_key_env = "EMPTY": this environment variable is empty`
  ],
  [
    "a key file that is not there",
    backend(`api_key_file = "gone"`),
    `nexus.toml:4: backends[0].api_key_file = "gone": there is no such file`
  ],
  [
    "a key file of two lines",
    backend(`api_key_file = "two"`),
    `nexus.toml:4: backends[0].api_key_file = "two": this file holds spaces or characters that no key can have`
  ],
  [
    "a variable in a string that is not set",
    `[server]\nhost = "\${GONE}"`,
    `nexus.toml:2: server.host = "\${GONE}": the environment variable GONE is not set`
  ],
  [
    "a variable in a string that is empty",
    `[server]\nhost = "\${EMPTY}"`,
    `nexus.toml:2: server.host = "\${EMPTY}": the environment variable EMPTY is empty; if it may be, write \${EMPTY:-}`
  ],
  [
    "a variable in a string that is not finished",
    `[server]\nhost = "\${GONE"`,
    `nexus.toml:2: server.host = "\${GONE": a "\${" must be \${NAME} or \${NAME:-default}; write $\${ for the characters themselves`
  ],
  [
    "aliases in a circle, once",
    `[routing.aliases]\na = "b"\nb = "c"\nc = "b"`,
    `nexus.toml:3: routing.aliases.b = "c": the aliases go in a circle: b -> c -> b`
  ],
  [
    "an alias of itself",
    `[routing.aliases]\n"a" = "a"`,
    `nexus.toml:2: routing.aliases.a = "a": the aliases go in a circle: a -> a`
  ],
  [
    "a chain of more than three aliases",
    `[routing.aliases]\na = "b"\nb = "c"\nc = "d"\nd = "e"`,
    `nexus.toml:2: routing.aliases.a = "b": 4 hops, at most 3 are allowed: a -> b -> c -> d -> e`
  ],
  [
    "an alias whose dot is not quoted",
    `[routing.aliases]\ngpt-3.5 = "x"`,
    `nexus.toml:2: routing.aliases: a name with a dot needs quotes: "gpt-3.5" = "x"`
  ],
  [
    "a group that an alias leads back into",
    `[routing]\naliases = { a = "chat" }\n\n[routing.groups]\nchat = ["m", "a@box"]`,
    `nexus.toml:5: routing.groups.chat[1] = "a@box": the group and the aliases go in a circle: chat -> a -> chat`
  ],
  [
    "a group in a group, but not a model that is called like its group",
    `[routing.groups]\nchat = ["other"]\nother = ["other@box"]`,
    `nexus.toml:2: routing.groups.chat[0] = "other": it is a group itself; name the models`
  ],
  [
    "a group in a group by way of an alias",
    `[routing]\naliases = { a = "other" }\n\n[routing.groups]\nchat = ["m", "a"]\nother = ["n"]`,
    `nexus.toml:5: routing.groups.chat[1] = "a": it stands for other, which is a group itself; name the models`
  ],
  [
    "a group by the name of an alias",
    `[routing]\naliases = { a = "m" }\n\n[routing.groups]\na = ["m"]`,
    `nexus.toml:5: routing.groups.a is never used: the name is an alias as well; keep one`
  ],
  [
    "an entry of a group that is no model at a backend",
    `[routing.groups]\na = ["m@"]`,
    `nexus.toml:2: routing.groups.a[0] = "m@": expected a model, or model@backend`
  ],
  [
    "a group whose dots are not quoted",
    `[routing.groups]\nqwen2.5 = ["x"]`,
    `nexus.toml:2: routing.groups: a name with a dot needs quotes: "qwen2.5" = ["x"]`
  ],
  ["an empty group", `[routing.groups]\na = []`, `nexus.toml:2: routing.groups.a = []: expected at least one`],
  [
    "a fallback whose dots are not quoted",
    `[routing.fallbacks]\nqwen2.5.1 = ["x"]`,
    `nexus.toml:2: routing.fallbacks: a name with a dot needs quotes: "qwen2.5.1" = ["x"]`
  ],
  [
    "a model that falls back to itself",
    `[routing.fallbacks]\nm = ["x", "m"]`,
    `nexus.toml:2: routing.fallbacks.m[1] = "m": a model cannot be its own fallback`
  ],
  [
    "a model that falls back to itself by way of aliases",
    `[routing]\naliases = { a = "b", b = "m" }\n\n[routing.fallbacks]\nm = [\n  "a"\n]`,
    `nexus.toml:6: routing.fallbacks.m[0] = "a": a model cannot be its own fallback, which stands for m as well`
  ],
  [
    "weights that are all 0",
    `[routing.weights]\npriority = 0\nload = 0\nlatency = 0`,
    `nexus.toml:1: routing.weights: all are 0; at least one must be more`
  ],
  [
    "a key of clients pasted where its digest belongs, without showing it",
    `[[auth.keys]]\nname = "k"\nsha256 = "nx-secret"`,
    `nexus.toml:3: auth.keys[0].sha256 = "nx-s…": expected 64 lower-case hexadecimal digits (a SHA-256 digest)`
  ],
  ...(
    [
      ["Ollama", "ollama"],
      ["llama.cpp", "llamacpp"],
      ["llama-server", "llamacpp"],
      ["LM Studio", "lmstudio"],
      ["aphrodite", "vllm"],
      ["SGLang", "sglang"],
      ["OpenRouter", "openrouter"],
      ["Claude", "anthropic"],
      ["groq", "openai"],
      ["LocalAI", "generic"],
      ["olama", "ollama"]
    ] as const
  ).map(
    ([type, meant]) =>
      [
        `the type ${type}, with the one that was meant`,
        backend(`type = "${type}"`),
        `nexus.toml:4: backends[0].type = "${type}": expected ${backendTypes.map((each) => `"${each}"`).join(" | ")}; did you mean "${meant}"?`
      ] as const
  ),
  ...["api_key", "apiKey", "key", "token"].map(
    (key) =>
      [
        `a key in the file as ${key}, without showing it`,
        backend(`${key} = "sk-secret"`),
        `nexus.toml:4: unknown key backends[0].${key}: a key does not stand in this file; api_key_env names the variable that holds it, api_key_file a file`
      ] as const
  ),
  ...(
    [
      ["box:9000", 'expected the host without its port, which does not count; write "box"'],
      ["http://box:9000/x", 'expected the host alone, without http:// and path; write "box"'],
      ["*", 'every name would let any web page in; name the hosts, or "*.example.com" for all below one'],
      ["*.com", 'anybody may have a name below "com"; say more of it, as in "*.example.com"'],
      ["a.*.net", 'a * stands at the beginning alone, as in "*.example.com"'],
      ["::1", 'an IPv6 address needs brackets; write "[::1]"'],
      ["", 'expected a host name such as "nexus.lan", or "*.example.com" for all below one']
    ] as const
  ).map(
    ([host, reason]) =>
      [
        `the allowed host ${host}`,
        `[server]\nallowed_hosts = ["${host}"]`,
        `nexus.toml:2: server.allowed_hosts[0] = "${host}": ${reason}`
      ] as const
  ),
  [
    "an address beyond this machine without keys",
    `[server]\nhost = "0.0.0.0"`,
    `nexus.toml:2: server.host = "0.0.0.0": an address beyond this machine needs keys ([[auth.keys]], see \`nexus keys new\`), or server.insecure = true (--insecure) to let everybody in`
  ],
  [
    "a browser origin with a path",
    `[server.cors]\norigins = ["https://a.example/"]`,
    `nexus.toml:2: server.cors.origins[0] = "https://a.example/": expected scheme, host and port alone, such as https://chat.example`
  ],
  ...["8001", "localhost", "admin.sock", "./admin.sock", "/run/", "http://localhost:8001", "::1:8001"].map(
    (listen) =>
      [
        `administration at ${listen}`,
        `[admin]\nlisten = "${listen}"`,
        `nexus.toml:2: admin.listen = "${listen}": expected host and port, such as "127.0.0.1:8001", or the whole path of a Unix socket, such as "/run/nexus/admin.sock"`
      ] as const
  ),
  [
    "a name for Nexus that no header can hold",
    `[[backends]]\nname = "a"\nurl = "http://h"\nuser_agent = "a\\tb"`,
    `nexus.toml:4: backends[0].user_agent = "a\\tb": expected 1 to 200 printable ASCII characters, no blank at the ends`
  ],
  [
    "administration at a port that is none",
    `[admin]\nlisten = "localhost:65536"`,
    `nexus.toml:2: admin.listen = "localhost:65536": the port must be a whole number from 0 to 65535`
  ],
  [
    "administration where the gateway listens",
    `[admin]\nlisten = "127.0.0.1:8000"`,
    `nexus.toml:2: admin.listen = "127.0.0.1:8000": this is where the gateway itself listens`
  ]
]

const badUrls: ReadonlyArray<readonly [url: string, shown: string, reason: string]> = [
  ["ftp://h", "ftp://h", "expected a URL that begins with http:// or https://"],
  [
    "localhost:11434",
    "localhost:11434",
    'expected a URL that begins with http:// or https://; did you mean "http://localhost:11434"?'
  ],
  ["http://", "http://", "expected a URL such as http://127.0.0.1:11434"],
  ["http:///v1", "http:///v1", "expected a URL such as http://127.0.0.1:11434"],
  ["http://h:99999", "http://h:99999", "expected a URL such as http://127.0.0.1:11434"],
  ["http://h/a b", "http://h/a b", "expected a URL such as http://127.0.0.1:11434"],
  ["http://me:secret@h", "http://…@h", "a URL must not hold a user or password; use api_key_env"],
  ["http://h/?a=b&api-key=sk-1", "http://h/?a=b&api-key=…", "a URL must not hold a key; use api_key_env"],
  ["http://h/?", "http://h/?", `a base URL has no query ("?")`],
  ["http://h/#x", "http://h/#x", `a base URL has no fragment ("#")`]
]

const around = {
  env: { EMPTY: "", HERE: "key" },
  files: new Map([
    ["gone", { fault: "there is no such file" }],
    ["two", { text: "first\nsecond\n" }],
    ["there", { text: "key" }]
  ])
}

describe("refused with file, line, key and what is allowed:", () => {
  for (const [what, toml, told] of rows) test(what, () => expect(mistakesOf(toml, around)).toEqual([told]))

  for (const [url, shown, reason] of badUrls) {
    test(`the URL ${url}`, () => {
      const toml = `[[backends]]\nname = "one"\nurl = "${url}"`
      expect(mistakesOf(toml)).toEqual([`nexus.toml:3: backends[0].url = "${shown}": ${reason}`])
    })
  }

  test("the URL of a webhook or a hook, and what is secret in it is not shown", () => {
    const reason = "a URL must not hold a user or password; use api_key_env"
    expect(mistakesOf('[[budgets]]\nname = "b"\nhard_usd = 1\nwebhook_url = "https://me:secret@h/x"')).toEqual([
      `nexus.toml:4: budgets[0].webhook_url = "https://…@h/…": ${reason}`
    ])
    expect(mistakesOf('[[hooks]]\nname = "a"\nurl = "https://me:secret@h/x"')[0]).toBe(
      `nexus.toml:3: hooks[0].url = "https://…@h/x": ${reason}`
    )
    expect(mistakesOf('[discovery.kubernetes]\nurl = "ftp://me:secret@h"')).toEqual([
      'nexus.toml:2: discovery.kubernetes.url = "ftp://…@h": expected a URL that begins with http:// or https://'
    ])
  })

  test("a file of another gateway, with what makes a nexus.toml of it", () => {
    const way =
      "nexus config import nexus.toml -o nexus.toml makes one of the settings of LiteLLM, Olla, llama-swap and Bifrost"
    const litellm = "# ours\nmodel_list:\n  - model_name: a\n    litellm_params:\n      model: openai/a\n"
    for (const [text, whose] of [
      [litellm, "this is a file of LiteLLM (YAML)"],
      ["models:\n  a:\n    cmd: llama-server\n", "this is a file of llama-swap (YAML)"],
      ["discovery:\n  static:\n    endpoints:\n      - url: x\n", "this is a file of Olla (YAML)"],
      ["---\na: 1\n", "this is YAML"],
      ['{\n  "providers": { "openai": { "keys": [] } }\n}', "this is a file of Bifrost (JSON)"]
    ] as const) {
      expect(mistakesOf(text)[0]).toBe(`nexus.toml: ${whose}, and Nexus reads TOML; ${way}`)
    }
    expect(mistakesOf('{"server": {}}')[0]).toBe("nexus.toml: this is JSON, and Nexus reads TOML")
    for (const text of ["\ufffd\ufffd[\0a\0]\0", "[\0a\0]\0"])
      expect(mistakesOf(text)[0]).toBe("nexus.toml: it is not in UTF-8, as TOML has to be; save it as UTF-8")
    expect(mistakesOf("\u007fELF\u0000\u0001")[0]).toBe("nexus.toml: it is no text; -c takes a nexus.toml")
  })

  test("bad TOML, with line, column and the place", () => {
    expect(mistakesOf(`a = 1\nb = [1\nc = 2\n`)).toEqual([
      "nexus.toml:3:1: no valid TOML: expected comma or end of structure",
      "2:  b = [1",
      "3:  c = 2",
      "    ^"
    ])
    expect(mistakesOf(`a = 1\na = 2`)[0]).toMatch(/^nexus\.toml:2:1: no valid TOML: /)
  })

  test("what a variable of the file holds is not shown", () => {
    const told = mistakesOf(`[[backends]]\nname = "one"\nurl = "http://h/?key=\${TOKEN}"`, { env: { TOKEN: "hidden" } })
    expect(told).toEqual([
      `nexus.toml:3: backends[0].url = "http://h/?key=\${TOKEN}": a URL must not hold a key; use api_key_env`
    ])
    const inside = mistakesOf(`[backends]\nurl = "\${TOKEN}"`, { env: { TOKEN: "hidden" } })
    expect(inside).toEqual([
      `nexus.toml:1: backends = { url = "\${TOKEN}" }: expected a list of tables; write [[backends]]`
    ])
  })
})

describe("all mistakes are told at once,", () => {
  test("sorted by line, those between keys among those of keys", () => {
    const toml = [
      `[logging]`,
      `level = "loud"`,
      `[[backends]]`,
      `name = "one"`,
      `url = "http://h:1"`,
      `[[backends]]`,
      `name = "one"`,
      `url = "h"`,
      `[server]`,
      `prot = 1`,
      `[routing.aliases]`,
      `a = "a"`
    ].join("\n")
    expect(mistakesOf(toml).map((line) => line.split(" ", 1)[0])).toEqual([
      "nexus.toml:2:",
      "nexus.toml:7:",
      "nexus.toml:8:",
      "nexus.toml:10:",
      "nexus.toml:12:"
    ])
  })

  test("those of the environment and of flags with those of the file", () => {
    const env = {
      NEXUS_PORT: "abc",
      NEXUS_DISCOVERY: "perhaps",
      NEXUS_CONFIG: "x",
      NEXUS_KEY: "x",
      NEXUS_API_KEY: "x"
    }
    expect(mistakesOf(`[server]\nport = true`, { env, flags: { logging: { level: "loud" } } })).toEqual([
      `nexus.toml:2: server.port = true: expected a whole number from 0 to 65535`,
      `NEXUS_PORT = "abc": expected a whole number from 0 to 65535`,
      `NEXUS_DISCOVERY = "perhaps": expected true, false, 1, 0, yes, no, on or off`,
      `--log-level = "loud": expected "error" | "warn" | "info" | "debug" | "trace"`
    ])
  })

  test("a mistake of the file that a flag would cover included", () => {
    expect(mistakesOf(`[server]\nport = -1`, { flags: { server: { port: 1 } } })).toHaveLength(1)
  })
})
