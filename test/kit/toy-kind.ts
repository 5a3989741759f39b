/**
 * A kind of server that nobody has: what it takes to add one, in one file and the line that `with-toy-kind.ts` puts into
 * the table.
 */
import { Effect, Option, Schema } from "effect"
import type { Kind } from "../../src/backend/Kind.ts"
import { openAiLike, statelessProber } from "../../src/backend/openai-like.ts"
import type { FakeModel } from "./dialects.ts"

const decodeHello = Schema.decodeUnknownOption(Schema.Struct({ toys: Schema.Literal("here") }))
const decodeList = Schema.decodeUnknownOption(
  Schema.Struct({ shelf: Schema.Array(Schema.Struct({ toy: Schema.String, room: Schema.Finite })) })
)

/** What one answers when it is asked about itself. */
export const toyAnswers = (models: ReadonlyArray<FakeModel>): Readonly<Record<string, unknown>> => ({
  "/toy/hello": { toys: "here" },
  "/toy/shelf": { shelf: models.map(({ context, id }) => ({ toy: id, room: context ?? 1024 })) }
})

/** The kind. */
export const toy: Kind = {
  ...openAiLike,
  label: "Toy box",
  alsoCalled: ["toybox"],
  ports: [Number(process.env["TOY_PORT"])],
  fingerprint: { question: { path: "/toy/hello", isOne: (body) => Option.isSome(decodeHello(body)) } },
  listTells: true,
  spelling: (name) => name.replaceAll("_", "-"),
  url: ({ url }, path) => `${url}${path.replace("/v1", "/toy/say")}`,
  authHeaders: (key) => ({ "x-toy-key": key }),
  prober: statelessProber((talk) =>
    Effect.map(talk.need("/toy/shelf"), ({ body }) =>
      Option.getOrUndefined(decodeList(body))?.shelf.map((each) => ({
        id: each.toy,
        context_length: each.room,
        capabilities: {}
      }))
    )
  ),
  advice: { start: "toybox open", load: () => "toybox fill" }
}
