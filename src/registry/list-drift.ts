/**
 * What traffic shows of a backend that its list of models does not: another model under a name, a model that is gone,
 * another server. Each is news once for each list, so that a service with names of its own is not probed without end.
 */
import type { Model } from "../domain/server.ts"

// Case, folders, the kind of file and the tag that is meant when there is none.
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^.*[/\\]/, "")
    .replace(/\.gguf$/, "")
    .replace(/:latest$/, "")

// What services put behind the name of a model to say which one of its versions it is.
const version = /^[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|v\d+(?:[.:]\d+)*|latest|preview|exp|free|beta)(?:[-:@].*)?$/

const isVersionOf = (name: string, longer: string): boolean =>
  longer.startsWith(name) && version.test(longer.slice(name.length))

/** Whether an answer that calls its model `answered` may be by the model that was asked for. */
export const mayBeSameModel = (asked: string, answered: string): boolean => {
  const a = plain(asked)
  const b = plain(answered)
  if (a === b || isVersionOf(a, b) || isVersionOf(b, a)) return true
  // "…-latest", and a date on either side.
  const bare = (name: string) => name.replace(/[-@:](?:latest|\d{4}-?\d{2}-?\d{2}|\d{3,4})$/, "")
  return bare(a) === bare(b)
}

/** What an answer says of who gave it. */
export interface AnswerSigns {
  readonly model: string | undefined
  readonly fingerprint: string | undefined
  readonly server: string | null
}

type Models = ReadonlyMap<string, Model>

interface Known {
  readonly seen: Set<string>
  server: string | null | undefined
  fingerprint: string | undefined
}

// Things that are told apart for one list.
const most = 100

/** What has been seen of the backends, by their lists; a list that changes begins anew. */
export class ListDrift {
  private readonly lists = new WeakMap<Models, Known>()

  /** Whether an answer is by a model that is neither the one asked for nor one of the list. */
  isForeign(models: Models, asked: string, answered: string | undefined): answered is string {
    if (answered === undefined || answered === "" || answered === asked) return false
    return !models.has(answered) && !mayBeSameModel(asked, answered)
  }

  /** Whether an answer to a request for `asked` shows something that the list could not. */
  shows(models: Models, asked: string, { fingerprint, model, server }: AnswerSigns): boolean {
    const known = this.of(models)
    const foreign = this.isForeign(models, asked, model) && this.isNews(known, `model ${asked}\n${model}`)
    const other = known.server !== undefined && known.server !== server && this.isNews(known, `server ${server}`)
    const built =
      fingerprint !== undefined &&
      known.fingerprint !== undefined &&
      known.fingerprint !== fingerprint &&
      this.isNews(known, `build ${fingerprint}`)
    known.server ??= server
    known.fingerprint ??= fingerprint
    return foreign || other || built
  }

  /** Whether it is news that a model of the list is said not to be there. */
  misses(models: Models, model: string): boolean {
    return this.isNews(this.of(models), `missing ${model}`)
  }

  private of(models: Models): Known {
    const known = this.lists.get(models)
    if (known !== undefined) return known
    const made: Known = { seen: new Set(), server: undefined, fingerprint: undefined }
    this.lists.set(models, made)
    return made
  }

  private isNews({ seen }: Known, what: string): boolean {
    if (seen.has(what) || seen.size >= most) return false
    seen.add(what)
    return true
  }
}
