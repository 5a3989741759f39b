import { expect, test } from "bun:test"
import { cachedShare } from "../../bench/fleet/sums.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { agentsOnLlama, agentsOnVllm } from "../../bench/fleet/workloads/agents.ts"

// In virtual time, and by chance that is fixed: it comes out the same on every machine.
test.each([
  ["vLLM", agentsOnVllm],
  ["llama-server", agentsOnLlama]
])(
  "agents whose turns come in at two replicas find their prompts in the caches of %s about as well as at one",
  async (_, workload) => {
    const shareAt = async (count: number, tells: "all" | "standings") =>
      cachedShare.of(await runVirtual(workload, 20, 1, { count, tells }))
    const [one, together, apart] = [await shareAt(1, "all"), await shareAt(2, "all"), await shareAt(2, "standings")]
    expect(together).toBeGreaterThan(one - 4)
    expect(together).toBeGreaterThan(apart + 2)
  },
  120_000
)
