/**
 * Prompts that servers have computed, told to other processes: a conversation is where it is, wherever its next turn comes in.
 */
import * as Schema from "effect/Schema"
import { endsOf, type PromptChain } from "../fleet/prompt-chain.ts"
import { type LiveState, standingOf } from "./live-state.ts"
import type { BackendState, Snapshot } from "./snapshot.ts"

/** A prompt that a server has computed. */
export const ToldPrompt = Schema.Struct({
  model: Schema.String,
  /** Stands for the conversation. */
  root: Schema.Int,
  /** Tokens for each byte. */
  per_byte: Schema.Finite,
  /** The hashes of its chain, four bytes each, in base64. */
  hashes: Schema.String
})

/** Type of {@link ToldPrompt}. */
export type ToldPrompt = typeof ToldPrompt.Type

/** Hashes that are told at most, of one prompt and of all together: of a longer one its beginning, and of many the last ones. */
const mostHashes = { ofOne: 1024, ofAll: 16_384 } as const

const bytesOfHash = 4

const encoded = (hashes: ReadonlyArray<number>): string => {
  const bytes = Buffer.allocUnsafe(hashes.length * bytesOfHash)
  for (const [at, hash] of hashes.entries()) bytes.writeUInt32LE(hash >>> 0, at * bytesOfHash)
  return bytes.toString("base64")
}

const decoded = (text: string): ReadonlyArray<number> => {
  const bytes = Buffer.from(text, "base64")
  const count = Math.min(mostHashes.ofOne, Math.floor(bytes.length / bytesOfHash))
  return Array.from({ length: count }, (_, at) => bytes.readUInt32LE(at * bytesOfHash))
}

interface Note {
  readonly backend: string
  readonly model: string
  readonly root: number
  readonly hashes: ReadonlyArray<number>
  readonly perByte: number
}

/** What servers have computed since it was last told. */
export class ComputedPrompts {
  private readonly followed = new WeakSet<LiveState>()
  // By server, model and conversation: the last turn has all that the ones before it have.
  private readonly notes = new Map<string, Note>()
  private hashes = 0

  /** Notes from now on what these compute. */
  follows({ backends }: Snapshot): void {
    for (const { backend, live } of backends.values()) {
      if (this.followed.has(live)) continue
      this.followed.add(live)
      const { name } = backend
      live.computes = [...live.computes, (model, chain, perByte) => this.adds(name, model, chain, perByte)]
    }
  }

  /** What is to be told, by the name of the server; it is told once. */
  take(): ReadonlyMap<string, ReadonlyArray<ToldPrompt>> {
    const told = new Map<string, Array<ToldPrompt>>()
    for (const { backend, hashes, model, perByte, root } of this.notes.values()) {
      const those = told.get(backend) ?? []
      those.push({ model, root, per_byte: perByte, hashes: encoded(hashes) })
      told.set(backend, those)
    }
    this.notes.clear()
    this.hashes = 0
    return told
  }

  private adds(backend: string, model: string, { hashes: all, root }: PromptChain, perByte: number): void {
    const key = JSON.stringify([backend, model, root])
    this.drop(key)
    const hashes = all.length > mostHashes.ofOne ? all.slice(0, mostHashes.ofOne) : all
    this.notes.set(key, { backend, model, root, hashes, perByte })
    this.hashes += hashes.length
    for (const oldest of this.notes.keys()) {
      if (this.hashes <= mostHashes.ofAll) return
      this.drop(oldest)
    }
  }

  private drop(key: string): void {
    this.hashes -= this.notes.get(key)?.hashes.length ?? 0
    this.notes.delete(key)
  }
}

/** Takes over what another process told of a server: it holds these prompts, as far as its own answers do not show otherwise. */
export const takePrompts = ({ live, models }: BackendState, told: ReadonlyArray<ToldPrompt>): void => {
  for (const { hashes: text, model, per_byte: perByte, root } of told) {
    const hashes = decoded(text)
    if (!models.has(model) || hashes.length === 0 || !(perByte > 0 && perByte < 8)) continue
    standingOf(live, model).hears({ hashes, ends: endsOf(hashes.length), root }, perByte)
  }
}
