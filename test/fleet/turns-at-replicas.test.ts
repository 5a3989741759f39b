import { expect, test } from "bun:test"
import { cachedShare } from "../../bench/fleet/sums.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { greedyKey } from "../../bench/fleet/workloads/greedy.ts"
import { agentsOnLlama, agentsOnVllm } from "../../bench/fleet/workloads/agents.ts"

// In virtual time, and by chance that is fixed: it comes out the same on every machine.
test.each([
  ["vLLM", agentsOnVllm],
  ["llama-server", agentsOnLlama]
])(
  "agents whose turns come in at two replicas find their prompts in the caches of %s about as well as at one",
  async (_, workload) => {
    const shareAt = async (tells: "all" | "standings") =>
      cachedShare.of(await runVirtual(workload, 20, 1, { count: 2, tells }))
    const [together, apart] = [await shareAt("all"), await shareAt("standings")]
    // As at one gateway.
    expect(together).toBeGreaterThan(90)
    expect(together).toBeGreaterThan(apart + 2)
  },
  120_000
)

test("a key that keeps many under way at two replicas leaves the others what is due to them, and the slots are found", async () => {
  const result = await runVirtual(greedyKey, 1, 1, { count: 2, tells: "all" })
  expect(result.found).toEqual([[8], [8]])
  const jain = greedyKey.figures.find(({ what }) => what === "Jain")
  expect(jain?.of(result)).toBeGreaterThan(0.95)
}, 120_000)
