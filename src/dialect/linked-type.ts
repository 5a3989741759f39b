/**
 * What is at an address, by how its path ends: whoever is told of a file by its address alone has to be told its type.
 */
import { wordIn } from "./word-table.ts"

const types: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  bmp: "image/bmp",
  heic: "image/heic",
  heif: "image/heif",
  pdf: "application/pdf",
  txt: "text/plain",
  md: "text/markdown",
  csv: "text/csv",
  htm: "text/html",
  html: "text/html",
  xml: "text/xml",
  json: "application/json",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
}

/** The media type of what is there; undefined where the path says nothing of it. */
export const linkedType = (url: string): string | undefined => {
  const [, ending = ""] = /\.([a-z]+)$/i.exec(URL.canParse(url) ? new URL(url).pathname : "") ?? []
  return wordIn(types, ending.toLowerCase())
}
