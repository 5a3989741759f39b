/**
 * What is used of the package dns-packet, which brings no types.
 */
declare module "dns-packet" {
  export interface DnsPacket {
    readonly id?: number
    readonly type?: string
    readonly flags?: number
    readonly questions?: ReadonlyArray<{ readonly name: string; readonly type: string }>
    readonly answers?: ReadonlyArray<object>
  }
  export const decode: (bytes: Uint8Array) => DnsPacket
  export const encode: (packet: DnsPacket) => Uint8Array
  export const AUTHORITATIVE_ANSWER: number
}
