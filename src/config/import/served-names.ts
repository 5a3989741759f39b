/**
 * Names that clients use, the models they stand for, and which model stands in for which.
 */
import type { KeyPath } from "../path.ts"
import { type Draft, literalText, setKey, sectionAt } from "./draft.ts"

interface Target {
  readonly model: string
  readonly from: KeyPath
}

/** Collects names, and turns them into aliases and fallbacks at the end. */
export const modelNames = (draft: Draft) => {
  const names = new Map<string, Array<Target>>()
  const aliases = new Map<string, Target>()
  const fallbacks: Array<{ readonly name: string; readonly others: ReadonlyArray<string>; readonly from: KeyPath }> = []

  const note = (path: KeyPath, why: string): void => {
    draft.notes.push({ path, why })
  }

  /** The model that a name stands for: itself when there is one of its name. */
  const modelOf = (name: string): string => {
    const targets = names.get(name) ?? []
    return targets.some(({ model }) => model === name) ? name : (targets[0]?.model ?? name)
  }

  /** The same through the names of names. */
  const mainOf = (name: string): string => {
    const alias = names.has(name) ? undefined : aliases.get(name)
    return modelOf(alias?.model ?? name)
  }

  const standIn = (model: string, other: string, from: KeyPath): boolean => {
    if (other === model) return false
    const table = sectionAt(draft.settings, ["routing", "fallbacks"])
    const known: ReadonlyArray<string> = Array.isArray(table[model]) ? table[model] : []
    if (!known.includes(literalText(other))) setKey(draft, table, model, [...known, literalText(other)], from)
    else draft.used.push(from)
    return true
  }

  const alias = (name: string, model: string, from: KeyPath): void =>
    setKey(draft, sectionAt(draft.settings, ["routing", "aliases"]), name, literalText(model), from)

  const finishName = (name: string, targets: ReadonlyArray<Target>): void => {
    const main = modelOf(name)
    const from = targets.find(({ model }) => model === main)?.from ?? []
    if (main !== name && modelOf(main) !== main) {
      return note(from, `'${main}' is itself a name for '${modelOf(main)}' in this file`)
    }
    if (main !== name) alias(name, main, from)
    for (const other of targets.filter(({ model }) => model !== main)) {
      if (modelOf(other.model) !== other.model) {
        note(other.from, `'${other.model}' is a name for another model in this file`)
      } else if (standIn(main, other.model, other.from)) {
        note(other.from, `a name stands for one model here: '${other.model}' answers only when '${main}' cannot`)
      }
    }
  }

  return {
    /** A name stands for a model; of several models the first answers, and the others when it cannot. */
    stands: (name: string, model: string, from: KeyPath): void => {
      const known = names.get(name) ?? []
      names.set(name, known)
      if (!known.some((each) => each.model === model)) known.push({ model, from })
    },
    /** A name stands for another name of the source. */
    alias: (name: string, to: string, from: KeyPath): void => {
      aliases.set(name, { model: to, from })
    },
    /** Models that may answer in the place of one. */
    fallback: (name: string, others: ReadonlyArray<string>, from: KeyPath): void => {
      fallbacks.push({ name, others, from })
    },
    /** Writes what has been collected. */
    finish: (): void => {
      for (const [name, targets] of names) finishName(name, targets)
      for (const [name, { model, from }] of aliases) {
        if (names.has(name)) note(from, `'${name}' is a model of this file already`)
        else if (mainOf(name) === name) note(from, `'${name}' stands for itself`)
        else alias(name, mainOf(model), from)
      }
      for (const { name, others, from } of fallbacks) {
        const model = mainOf(name)
        const added = others.filter((other) => standIn(model, mainOf(other), from))
        if (added.length < others.length) note(from, "a model is no fallback of its own")
      }
    }
  }
}

/** Names that are being collected. */
export type ModelNames = ReturnType<typeof modelNames>
