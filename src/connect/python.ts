/**
 * Short Python programs of the client libraries that speak other APIs than OpenAI's, or bring an agent of their own.
 */
import { joinLines, keyOrPlaceholder, keyVariable, quotedLiteral, rootUrl, type ClientSetup } from "./client-setup.ts"

const key = (setup: ClientSetup): string => keyOrPlaceholder(setup, `os.environ["${keyVariable}"]`)

/** What a program begins with that takes its key from the environment. */
export const importOs = ({ keyNeeded }: ClientSetup): string | undefined => (keyNeeded ? "import os\n" : undefined)

const model = (setup: ClientSetup): string => quotedLiteral(setup.model.id)

/** The anthropic package. */
export const anthropicPython = (setup: ClientSetup): string =>
  joinLines(
    "# pip install anthropic",
    importOs(setup),
    "from anthropic import Anthropic",
    "",
    `client = Anthropic(base_url=${quotedLiteral(rootUrl(setup))}, api_key=${key(setup)})`,
    "message = client.messages.create(",
    `    model=${model(setup)},`,
    "    max_tokens=1000,",
    `    messages=[{"role": "user", "content": "Hello"}],`,
    ")",
    `print("".join(block.text for block in message.content if block.type == "text"))`
  )

/** The google-genai package. */
export const googleGenai = (setup: ClientSetup): string =>
  joinLines(
    "# pip install google-genai",
    importOs(setup),
    "from google import genai",
    "",
    "client = genai.Client(",
    `    api_key=${key(setup)},`,
    `    http_options={"base_url": ${quotedLiteral(rootUrl(setup))}},`,
    ")",
    `print(client.models.generate_content(model=${model(setup)}, contents="Hello").text)`
  )

/** The ollama package. */
export const ollamaPython = (setup: ClientSetup): string =>
  joinLines(
    "# pip install ollama",
    importOs(setup),
    "from ollama import Client",
    "",
    setup.keyNeeded
      ? `client = Client(${quotedLiteral(rootUrl(setup))}, headers={"Authorization": f"Bearer {${key(setup).replaceAll('"', "'")}}"})`
      : `client = Client(${quotedLiteral(rootUrl(setup))})`,
    `answer = client.chat(${model(setup)}, messages=[{"role": "user", "content": "Hello"}])`,
    "print(answer.message.content)"
  )

/** The Agents SDK of OpenAI; what an agent does is not told to OpenAI. */
export const openaiAgents = (setup: ClientSetup): string =>
  joinLines(
    "# pip install openai-agents",
    importOs(setup),
    "from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled",
    "from openai import AsyncOpenAI",
    "",
    "set_tracing_disabled(True)",
    `client = AsyncOpenAI(base_url=${quotedLiteral(setup.baseUrl)}, api_key=${key(setup)})`,
    "set_default_openai_client(client, use_for_tracing=False)",
    `agent = Agent(name="Assistant", model=${model(setup)})`,
    `print(Runner.run_sync(agent, "Hello").final_output)`
  )

/** Pydantic AI. */
export const pydanticAi = (setup: ClientSetup): string =>
  joinLines(
    "# pip install pydantic-ai-slim[openai]",
    importOs(setup),
    "from pydantic_ai import Agent",
    "from pydantic_ai.models.openai import OpenAIChatModel",
    "from pydantic_ai.providers.openai import OpenAIProvider",
    "",
    `provider = OpenAIProvider(base_url=${quotedLiteral(setup.baseUrl)}, api_key=${key(setup)})`,
    `agent = Agent(OpenAIChatModel(${model(setup)}, provider=provider))`,
    `print(agent.run_sync("Hello").output)`
  )
