import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { type SetMember, IntrusiveSet } from "../../src/domain/intrusive-set.ts"

interface Named extends SetMember {
  readonly name: number
}

const named = (name: number): Named => ({ name, place: -1 })

const namesOf = (tested: IntrusiveSet<Named>): ReadonlyArray<number> => {
  const names: Array<number> = []
  tested.each(({ name }) => names.push(name))
  return names
}

describe("an intrusive set", () => {
  test("holds what a set would hold, whatever comes and goes", () => {
    const step = fc.record({ enters: fc.boolean(), name: fc.nat(9) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const members = Array.from({ length: 10 }, (_, name) => named(name))
        const tested = new IntrusiveSet<Named>()
        const set = new Set<number>()
        for (const { enters, name } of steps) {
          const member = members[name] ?? named(name)
          if (enters) {
            tested.add(member)
            set.add(name)
          } else {
            tested.delete(member)
            set.delete(name)
          }
          expect(namesOf(tested).toSorted()).toEqual([...set].toSorted())
          expect(tested.size).toBe(set.size)
        }
      })
    )
  })

  test("visits everyone although others leave meanwhile", () => {
    const leaving = fc.array(fc.nat(19), { maxLength: 20 })
    fc.assert(
      fc.property(fc.nat(19), leaving, (when, gone) => {
        const members = Array.from({ length: 20 }, (_, name) => named(name))
        const tested = new IntrusiveSet<Named>()
        for (const member of members) tested.add(member)
        const visited = new Set<number>()
        tested.each(({ name }) => {
          visited.add(name)
          if (name === when) for (const other of gone) tested.delete(members[other] ?? named(-1))
        })
        const missing = members.filter(({ name }) => !visited.has(name)).map(({ name }) => name)
        expect(missing.filter((name) => !gone.includes(name))).toEqual([])
      })
    )
  })

  test("lets nobody go who is in another one", () => {
    const one = new IntrusiveSet<Named>()
    const other = new IntrusiveSet<Named>()
    const [a, b] = [named(1), named(2)]
    one.add(a)
    other.add(b)
    other.delete(a)
    expect([namesOf(one), namesOf(other)]).toEqual([[1], [2]])
  })
})

test("whoever waits for the last member to leave is called once, when it has, unless it has taken that back (law)", () =>
  fc.assert(
    fc.property(fc.array(fc.constantFrom("add", "delete", "wait", "takeBack"), { maxLength: 50 }), (steps) => {
      const tested = new IntrusiveSet<{ place: number }>()
      const members: Array<{ place: number }> = []
      const waits: Array<{ called: number; expected: number; open: boolean; takeBack: () => void }> = []
      for (const step of steps) {
        if (step === "add") {
          const member = { place: -1 }
          members.push(member)
          tested.add(member)
        } else if (step === "delete") {
          const member = members.pop()
          if (member === undefined) continue
          if (members.length === 0) {
            for (const wait of waits) {
              if (wait.open) wait.expected += 1
              wait.open = false
            }
          }
          tested.delete(member)
        } else if (step === "wait") {
          const isEmpty = members.length === 0
          const wait = { called: 0, expected: isEmpty ? 1 : 0, open: !isEmpty, takeBack: () => undefined }
          waits.push(Object.assign(wait, { takeBack: tested.whenEmpty(() => void (wait.called += 1)) }))
        } else {
          const wait = waits.at(-1)
          wait?.takeBack()
          if (wait !== undefined) wait.open = false
        }
        for (const { called, expected } of waits) expect(called).toBe(expected)
      }
    })
  ))
