import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openDatabase } from "../../src/store/Database.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nexus-store-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const steps = ["create table things (name text primary key)", "alter table things add column size integer"]

const within = <A>(
  path: string,
  known: ReadonlyArray<string>,
  use: (opened: ReturnType<typeof openDatabase>) => A
): A => {
  const opened = openDatabase(path, { part: "things", steps: known })
  try {
    return use(opened)
  } finally {
    opened.close()
  }
}

const names = (opened: ReturnType<typeof openDatabase>): ReadonlyArray<string> =>
  opened
    .query<{ readonly name: string }, []>("select name from things order by name")
    .all()
    .map(({ name }) => name)

describe("a file of SQLite", () => {
  test("is made for this user alone, folders too, and keeps what is put into it", () => {
    const path = join(folder, "deep", "data.sqlite")
    within(path, steps, (opened) => opened.run("insert into things values ('a', 1)"))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(within(path, steps, names)).toEqual(["a"])
  })

  test("of an older Nexus is brought up to date, and one of a newer Nexus is left alone", () => {
    const path = join(folder, "data.sqlite")
    within(path, steps.slice(0, 1), (opened) => opened.run("insert into things values ('a')"))
    within(path, steps, (opened) => opened.run("insert into things values ('b', 2)"))
    expect(within(path, steps, names)).toEqual(["a", "b"])
    expect(() => within(path, steps.slice(0, 1), names)).toThrow("later version")
    expect(within(path, steps, names)).toEqual(["a", "b"])
  })

  test("that is none, or stands where none may be, is refused", () => {
    const path = join(folder, "data.sqlite")
    writeFileSync(path, "this is no database at all, though it is long enough to be looked at".repeat(20))
    expect(() => within(path, steps, names)).toThrow()
    const file = join(folder, "file")
    writeFileSync(file, "")
    chmodSync(file, 0o400)
    expect(() => within(join(file, "data.sqlite"), steps, names)).toThrow()
  })
})
