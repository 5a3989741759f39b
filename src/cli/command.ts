/**
 * The root of the command line.
 */
import { Command } from "effect/cli"
import { aliasesCommand } from "./aliases.ts"
import { auditCommand } from "./audit.ts"
import { cacheCommand } from "./cache.ts"
import { capturesCommand } from "./captures-command.ts"
import { backendsCommand } from "./backends/backends.ts"
import { benchCommand } from "./bench-command.ts"
import { completeCommand } from "./completion/complete.ts"
import { completionsCommand } from "./completion/completions.ts"
import { configCommand } from "./config.ts"
import { connectCommand } from "./connect.ts"
import { doctorCommand } from "./doctor/doctor.ts"
import { explainCommand } from "./explain.ts"
import { grafanaCommand } from "./grafana/grafana.ts"
import { healthCommand } from "./health.ts"
import { keysCommand } from "./keys.ts"
import { mockCommand } from "./mock.ts"
import { modelsCommand } from "./models.ts"
import { eventsCommand } from "./events.ts"
import { recordCommand } from "./record-command.ts"
import { replayCommand } from "./replay-command.ts"
import { requestsCommand } from "./requests.ts"
import { serveCommand } from "./serve.ts"
import { serviceCommand } from "./service/service.ts"
import { setupCommand } from "./setup/setup.ts"
import { statusCommand } from "./status/status.ts"
import { topCommand } from "./top/top.ts"
import { usageCommand } from "./usage-command.ts"

const completions = completionsCommand((): Command.Command.Any => nexus)

/** All of `nexus`. */
export const nexus = Command.make("nexus").pipe(
  Command.withDescription("One OpenAI-compatible endpoint in front of every LLM server you have"),
  Command.withSubcommands([
    serveCommand,
    setupCommand,
    statusCommand,
    topCommand,
    modelsCommand,
    aliasesCommand,
    backendsCommand,
    healthCommand,
    explainCommand,
    requestsCommand,
    usageCommand,
    eventsCommand,
    auditCommand,
    cacheCommand,
    capturesCommand,
    doctorCommand,
    grafanaCommand,
    benchCommand,
    mockCommand,
    recordCommand,
    replayCommand,
    connectCommand,
    configCommand,
    keysCommand,
    serviceCommand,
    completions,
    completeCommand
  ])
)
