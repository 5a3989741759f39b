/**
 * Keys in a file of SQLite: their digests, and what is said of them. All calls are plain and short; what fails throws and has
 * changed nothing.
 */
import type { AuthKey } from "../domain/grant.ts"
import type { WrittenTerms } from "../domain/key-terms.ts"
import type { TokenRevocation } from "../domain/revoked-tokens.ts"
import { type Database, openDatabase } from "../store/Database.ts"

/** A key as it is kept; times in milliseconds since 1970. */
export interface StoredKey {
  readonly written: WrittenTerms
  readonly digest: Uint8Array
  readonly made: number
  readonly previous: AuthKey["previous"]
}

/** A key, or that there is none of this name any more, as replicas tell each other; the latest of a name counts. */
export interface KeyNews {
  readonly name: string
  /** When it was so changed, in milliseconds since 1970. */
  readonly changed: number
  /** Undefined where it was revoked. */
  readonly key: StoredKey | undefined
}

/** A revocation of tokens, or that it was lifted, as replicas tell each other; the latest of an id counts. */
export interface RevocationNews {
  readonly id: string
  /** When it was so changed, in milliseconds since 1970. */
  readonly changed: number
  /** Undefined where it was lifted. */
  readonly revocation: TokenRevocation | undefined
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
    ) without rowid`,
    `alter table keys add column changed integer not null default 0;
    create table revoked_keys (name text primary key, changed integer not null) without rowid`,
    `create table revoked_tokens (
      id text primary key, revocation text, until integer, changed integer not null
    ) without rowid`
  ]
}

interface DatedRow extends Row {
  readonly changed: number
}

interface RevocationRow {
  readonly id: string
  readonly revocation: string | null
  readonly changed: number
}

const newsOf = ({ changed, id, revocation }: RevocationRow): RevocationNews => ({
  id,
  changed,
  revocation: revocation === null ? undefined : (JSON.parse(revocation) as TokenRevocation) // reason: nobody else writes there
})

const keyOf = ({ digest, made, previous, previous_until: until, terms }: Row): StoredKey => ({
  written: JSON.parse(terms) as WrittenTerms, // reason: nobody else writes there, and what is written has been checked
  digest,
  made,
  previous: previous === null || until === null ? undefined : { digest: previous, until }
})

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
    return rows.map(keyOf)
  }

  /** All that was ever changed, revocations among it. */
  news(): ReadonlyArray<KeyNews> {
    const kept = this.database
      .query<DatedRow, []>("select digest, terms, made, previous, previous_until, changed from keys")
      .all()
      .map((row) => {
        const key = keyOf(row)
        return { name: key.written.name, changed: row.changed, key }
      })
    const gone = this.database
      .query<{ readonly name: string; readonly changed: number }, []>("select name, changed from revoked_keys")
      .all()
    return [...kept, ...gone.map(({ changed, name }) => ({ name, changed, key: undefined }))]
  }

  /** Takes over what others have changed later than it was changed here; whether there was any of it. */
  merge(news: ReadonlyArray<KeyNews>): boolean {
    const own = new Map(
      this.database
        .query<{ readonly name: string; readonly changed: number }, []>(
          "select name, changed from revoked_keys union all select name, changed from keys"
        )
        .all()
        .map(({ changed, name }) => [name, changed])
    )
    const later = news.filter(({ changed, name }) => changed > (own.get(name) ?? -1))
    if (later.length === 0) return false
    this.database
      .transaction(() => {
        for (const { changed, key, name } of later) {
          this.forget(name, changed)
          if (key === undefined) continue
          this.database.run("delete from revoked_keys where name = ?", [name])
          this.database.run(
            "insert or replace into keys (name, digest, terms, made, previous, previous_until, changed) values (?, ?, ?, ?, ?, ?, ?)",
            [
              name,
              key.digest,
              JSON.stringify(key.written),
              key.made,
              key.previous?.digest ?? null,
              key.previous?.until ?? null,
              changed
            ]
          )
        }
      })
      .immediate()
    return true
  }

  // Clocks differ, and what is done to a key comes after what was done to it before.
  private later(name: string, now: number): number {
    const known = this.database
      .query<{ readonly changed: number }, [string, string]>(
        "select changed from keys where name = ? union all select changed from revoked_keys where name = ?"
      )
      .all(name, name)
    return known.reduce((latest, { changed }) => Math.max(latest, changed + 1), now)
  }

  private forget(name: string, now: number): boolean {
    const { changes } = this.database.run("delete from keys where name = ?", [name])
    this.database.run("insert or replace into revoked_keys (name, changed) values (?, ?)", [name, now])
    return changes > 0
  }

  /** Keeps a new one; whether its name was free. */
  add(written: WrittenTerms, digest: Uint8Array, now: number): boolean {
    const { changes } = this.database.run(
      "insert into keys (name, digest, terms, made, changed) values (?, ?, ?, ?, ?) on conflict do nothing",
      [written.name, digest, JSON.stringify(written), now, this.later(written.name, now)]
    )
    if (changes > 0) this.database.run("delete from revoked_keys where name = ?", [written.name])
    return changes > 0
  }

  /** Forgets one; whether there was one of this name. */
  revoke(name: string, now: number): boolean {
    return this.database.transaction(() => this.forget(name, this.later(name, now))).immediate()
  }

  /** Gives one another digest; the one before it counts until then. Whether there was one of this name. */
  rotate(name: string, digest: Uint8Array, until: number, now: number): boolean {
    const { changes } = this.database.run(
      "update keys set previous = digest, previous_until = ?, digest = ?, changed = ? where name = ?",
      [until, digest, this.later(name, now), name]
    )
    return changes > 0
  }

  /** All that was ever revoked of tokens, and lifted, but for those tokens that have ended by themselves. */
  revocationNews(): ReadonlyArray<RevocationNews> {
    return this.database
      .query<RevocationRow, []>("select id, revocation, changed from revoked_tokens order by changed, id")
      .all()
      .map(newsOf)
  }

  /** Takes over what others have revoked and lifted later than it was here; whether there was any of it. */
  mergeRevocations(news: ReadonlyArray<RevocationNews>, now: number): boolean {
    const own = new Map(this.revocationNews().map(({ changed, id }) => [id, changed]))
    const later = news.filter(
      ({ changed, id, revocation }) => changed > (own.get(id) ?? -1) && (revocation?.until ?? Infinity) > now
    )
    if (later.length === 0) return false
    this.database
      .transaction(() => {
        for (const each of later) this.keepRevocation(each)
      })
      .immediate()
    return true
  }

  private keepRevocation({ changed, id, revocation }: RevocationNews): void {
    this.database.run("insert or replace into revoked_tokens (id, revocation, until, changed) values (?, ?, ?, ?)", [
      id,
      revocation === undefined ? null : JSON.stringify(revocation),
      revocation?.until ?? null,
      changed
    ])
  }

  private revocation(id: string): RevocationNews | undefined {
    const found = this.database
      .query<RevocationRow, [string]>("select id, revocation, changed from revoked_tokens where id = ?")
      .get(id)
    return found === null ? undefined : newsOf(found)
  }

  /** Keeps what is made of a revocation and the one of its id that was there before; gives it. */
  revokeTokens(
    id: string,
    make: (before: TokenRevocation | undefined) => TokenRevocation,
    now: number
  ): TokenRevocation {
    return this.database
      .transaction(() => {
        const before = this.revocation(id)
        const revocation = make(before?.revocation)
        this.database.run("delete from revoked_tokens where until < ?", [now])
        this.keepRevocation({ id, revocation, changed: Math.max(now, (before?.changed ?? 0) + 1) })
        return revocation
      })
      .immediate()
  }

  /** Has revoked tokens count again; gives what had revoked them, where there was such a one. */
  lift(id: string, now: number): TokenRevocation | undefined {
    return this.database
      .transaction(() => {
        const before = this.revocation(id)
        if (before?.revocation === undefined) return undefined
        this.keepRevocation({ id, revocation: undefined, changed: Math.max(now, before.changed + 1) })
        return before.revocation
      })
      .immediate()
  }

  /** Is another number when another process has changed something. */
  get version(): number {
    return this.database.query<{ readonly data_version: number }, []>("pragma data_version").get()?.data_version ?? 0
  }

  close(): void {
    this.database.close()
  }
}
