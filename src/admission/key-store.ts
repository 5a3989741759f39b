/**
 * Keys in a file of SQLite: their digests, and what is said of them. All calls are plain and short; what fails throws and has
 * changed nothing.
 */
import type { AuthKey } from "../domain/grant.ts"
import { termsOf, type WrittenTerms } from "../domain/key-terms.ts"
import { type Database, openDatabase } from "../store/Database.ts"

/** A key as it is kept; times in milliseconds since 1970. */
export interface StoredKey {
  readonly written: WrittenTerms
  readonly digest: Uint8Array
  readonly made: number
  readonly previous: AuthKey["previous"]
}

interface Row {
  readonly digest: Uint8Array
  readonly terms: string
  readonly made: number
  readonly previous: Uint8Array | null
  readonly previous_until: number | null
}

const migrations = {
  part: "keys",
  steps: [
    `create table keys (
      name text primary key, digest blob not null unique, terms text not null, made integer not null,
      previous blob, previous_until integer
    ) without rowid`
  ]
}

/** Keys in a file. */
export class KeyStore {
  private readonly database: Database

  /** Opens the file, which is made where there is none. */
  constructor(path: string) {
    this.database = openDatabase(path, migrations)
  }

  /** All of them, by name. */
  list(): ReadonlyArray<StoredKey> {
    const rows = this.database
      .query<Row, []>("select digest, terms, made, previous, previous_until from keys order by name")
      .all()
    return rows.map(({ digest, made, previous, previous_until: until, terms }) => ({
      written: JSON.parse(terms) as WrittenTerms, // reason: nobody else writes there, and what is written has been checked
      digest,
      made,
      previous: previous === null || until === null ? undefined : { digest: previous, until }
    }))
  }

  /** Keeps a new one; whether its name was free. */
  add(written: WrittenTerms, digest: Uint8Array, now: number): boolean {
    const { changes } = this.database.run(
      "insert into keys (name, digest, terms, made) values (?, ?, ?, ?) on conflict do nothing",
      [written.name, digest, JSON.stringify(written), now]
    )
    return changes > 0
  }

  /** Forgets one; whether there was one of this name. */
  revoke(name: string): boolean {
    return this.database.run("delete from keys where name = ?", [name]).changes > 0
  }

  /** Gives one another digest; the one before it counts until then. Whether there was one of this name. */
  rotate(name: string, digest: Uint8Array, until: number): boolean {
    const { changes } = this.database.run(
      "update keys set previous = digest, previous_until = ?, digest = ? where name = ?",
      [until, digest, name]
    )
    return changes > 0
  }

  /** Is another number when another process has changed something. */
  get version(): number {
    return this.database.query<{ readonly data_version: number }, []>("pragma data_version").get()?.data_version ?? 0
  }

  close(): void {
    this.database.close()
  }
}

/** A stored key as requests are let in by it. */
export const authKeyOf = ({ digest, previous, written }: StoredKey): AuthKey => ({
  ...termsOf(written),
  digest,
  ...(previous === undefined ? {} : { previous })
})
