/**
 * TLS in front of a fake upstream, with certificates that are good and bad; they serve no other purpose, anywhere.
 */
import { connect as connectTcp, type AddressInfo } from "node:net"
import { createServer } from "node:tls"

/** A certificate that signs itself, and its key. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** For 127.0.0.1, until the year 2126. */
export const good: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBnDCCAUKgAwIBAgIUHPd3nvr7lOAHcaDuspe+VHwI3+4wCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPbmV4dXMgdGVzdCBnb29kMCAXDTI2MTEyMzE3MzQ0MloYDzIx
MjYxMDMwMTczNDQyWjAaMRgwFgYDVQQDDA9uZXh1cyB0ZXN0IGdvb2QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAARYOkcmWTy292Vsjo+KLK4ukLSmZPGVUEDB9i2y
/M5uUGaZDN614078znEr5o/225awTcqrt0zoGWdbFeZ5y1WIo2QwYjAdBgNVHQ4E
FgQULhj4QIiezsw+ebo1hn6EnE9rZYYwHwYDVR0jBBgwFoAULhj4QIiezsw+ebo1
hn6EnE9rZYYwDwYDVR0RBAgwBocEfwAAATAPBgNVHRMBAf8EBTADAQH/MAoGCCqG
SM49BAMCA0gAMEUCIC1Ib3y2d0e3a7LIVxO4Zto7Qscj04uzbB82pk6bAN49AiEA
3qzRU4j0w0Nb4GUbjNB4PnXySvOyAmm+c2eQb3jLGls=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8PoCaWQJDcyt0/tH
c8cZZnqcE2wKnVG6pzJPy+zzodmhRANCAARYOkcmWTy292Vsjo+KLK4ukLSmZPGV
UEDB9i2y/M5uUGaZDN614078znEr5o/225awTcqrt0zoGWdbFeZ5y1WI
-----END PRIVATE KEY-----
`
}

/** For wrong.example alone. */
export const wrong: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBpzCCAU2gAwIBAgIUbAMUkkoY2lHxH2eMIV/wAfPLE0QwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQbmV4dXMgdGVzdCB3cm9uZzAgFw0yNjExMjMxNzM0NDJaGA8y
MTI2MTAzMDE3MzQ0MlowGzEZMBcGA1UEAwwQbmV4dXMgdGVzdCB3cm9uZzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABPqDXE1gqXTZcTmXa7KB4eZ0sxh9oph8r3sx
k+aWNClAmUF1LpC2WxIVVcOEEc2KV0g8JQhUjFnevcd4M7stm4CjbTBrMB0GA1Ud
DgQWBBS7Y0Bp+V5dan3U0KO0zChhLVRt7zAfBgNVHSMEGDAWgBS7Y0Bp+V5dan3U
0KO0zChhLVRt7zAYBgNVHREEETAPgg13cm9uZy5leGFtcGxlMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgeSt8aXmMIoJhYBShg6Bk/ss9wmtJB+aK
uQ54m82AJ84CIQDaH90t1j7NauWjPTEDYXaIzhHqYNkT22z/oW+1VRXxxg==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1ns/2H1krtmlP8Lg
dGSbtjVDa1ODklN3W/TYz2QilfOhRANCAAT6g1xNYKl02XE5l2uygeHmdLMYfaKY
fK97MZPmljQpQJlBdS6QtlsSFVXDhBHNildIPCUIVIxZ3r3HeDO7LZuA
-----END PRIVATE KEY-----
`
}

/** For 127.0.0.1, for one day of 2020. */
export const expired: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBbDCCARKgAwIBAgIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJuZXh1cyB0
ZXN0IGV4cGlyZWQwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMTAyMDAwMDAwWjAdMRsw
GQYDVQQDDBJuZXh1cyB0ZXN0IGV4cGlyZWQwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAASTvpIBAcfpIz1N3plu1NQScOYh4QiQn2e11PeyQpgTMPohqtOtpIZ7VClp
m3SkwPQbWJJNlOaWTd8QcJ//tidwo0MwQTAPBgNVHREECDAGhwR/AAABMA8GA1Ud
EwEB/wQFMAMBAf8wHQYDVR0OBBYEFPV/X6KoMj3Oixzu1+qY2rgJdlDwMAoGCCqG
SM49BAMCA0gAMEUCIQDX2aUG3vsOaVzsQQb8CYErg9XJdBzrgBbLrZH1m/mJnwIg
Ndo9xIKG6dh8j9e8ZxM+s5KvHNstzxElabcC/XwgdlA=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaqvbowUiOiG4PdzM
DoqO+shoQJEiP1NFDGpglgFIVjmhRANCAASTvpIBAcfpIz1N3plu1NQScOYh4QiQ
n2e11PeyQpgTMPohqtOtpIZ7VClpm3SkwPQbWJJNlOaWTd8QcJ//tidw
-----END PRIVATE KEY-----
`
}

/** An authority of its own, until the year 2126; its key is in nobody's hands. */
export const authority = `-----BEGIN CERTIFICATE-----
MIIBYjCCAQegAwIBAgIBEDAKBggqhkjOPQQDAjAfMR0wGwYDVQQDDBRuZXh1cyB0
ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFow
HzEdMBsGA1UEAwwUbmV4dXMgdGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggq
hkjOPQMBBwNCAATB1a0qIcm4kFM1odP8hbjVoW0YFSESHIpOdz5yNX82NrpsMCst
nJZWdDmoANWw2u9uJ8oRanJa5Ek7MXM2DVIlozIwMDAPBgNVHRMBAf8EBTADAQH/
MB0GA1UdDgQWBBQx+eV60JDDgHvySDPia2Dvhj6vjTAKBggqhkjOPQQDAgNJADBG
AiEAspVeHM25XW0JWVHxigap6My45tKE+Mrv0GgPiQbCUV4CIQDuV1DsXwBtLLgu
TrNDQXk6T924+YRFOsy/q3v3BHFcNQ==
-----END CERTIFICATE-----
`

/** From that authority, for 127.0.0.1. */
export const issued: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBjjCCATOgAwIBAgIBETAKBggqhkjOPQQDAjAfMR0wGwYDVQQDDBRuZXh1cyB0
ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFow
HDEaMBgGA1UEAwwRbmV4dXMgdGVzdCBpc3N1ZWQwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQfg+0gqJsIcdPUh5mUddqFgbNRMHH2eI8Uno/aUSzu8qVIc39WNmdV
jAg4SA02AH7NaullHtOSnsMHwQ6N/5/xo2EwXzAPBgNVHREECDAGhwR/AAABMAwG
A1UdEwEB/wQCMAAwHQYDVR0OBBYEFPU/gH+zUThadJRO7dEGC74Z0VdgMB8GA1Ud
IwQYMBaAFDH55XrQkMOAe/JIM+JrYO+GPq+NMAoGCCqGSM49BAMCA0kAMEYCIQD5
1YEHlP18B5XtzUh7OtxTxDjBVc9zDLMSV0WmfGSvLAIhAOzVNzXOokzq+PjRvaQN
fnOYCf+bsmfeaJfOX2Am2d3J
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgi+ZRMqqpEimS3Zny
YF3S69IPZUl4tOmDmznjwtGtBaGhRANCAAQfg+0gqJsIcdPUh5mUddqFgbNRMHH2
eI8Uno/aUSzu8qVIc39WNmdVjAg4SA02AH7NaullHtOSnsMHwQ6N/5/x
-----END PRIVATE KEY-----
`
}

/** From that authority, for whoever calls. */
export const client: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBjDCCATOgAwIBAgIBEjAKBggqhkjOPQQDAjAfMR0wGwYDVQQDDBRuZXh1cyB0
ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFow
HDEaMBgGA1UEAwwRbmV4dXMgdGVzdCBjbGllbnQwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATlxTk0LdO+87wr6U5BA6QcBGNCZp9/QEILX8iLoMvs/wFDEuI0diGb
24ad2zEgRvBsGj6xFgoOSBxK2AwIUPu9o2EwXzAPBgNVHREECDAGhwR/AAABMAwG
A1UdEwEB/wQCMAAwHQYDVR0OBBYEFGb8C+C2U7aHZS3wFOgHRut772JcMB8GA1Ud
IwQYMBaAFDH55XrQkMOAe/JIM+JrYO+GPq+NMAoGCCqGSM49BAMCA0cAMEQCIFlL
7bTIb4zbNkdXacRfcQfst4yeAmdwd3bANQhZF5CnAiAdK3B9dqJOhoShNCxMH4Ys
t/X1If7m1pOMlzf34ub0yg==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm0UnzzdeWyNnd6yb
z0/slKSs1J5MysGpGkdstYvE4EyhRANCAATlxTk0LdO+87wr6U5BA6QcBGNCZp9/
QEILX8iLoMvs/wFDEuI0diGb24ad2zEgRvBsGj6xFgoOSBxK2AwIUPu9
-----END PRIVATE KEY-----
`
}

/** For 127.0.0.1, from the year 2120 on. */
export const future: Certificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBazCCARGgAwIBAgIBEzAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFuZXh1cyB0
ZXN0IGZ1dHVyZTAiGA8yMTIwMDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAwMDAwWjAc
MRowGAYDVQQDDBFuZXh1cyB0ZXN0IGZ1dHVyZTBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABMNsIYsFZ5w0i+nNDR8dTI8TZNzHqKNi6gh8se6J6xRJ0Y2FK9baUwwg
/FtDM9SzlmUpsGK88fwEoqCBqgYi7MOjQDA+MA8GA1UdEQQIMAaHBH8AAAEwDAYD
VR0TAQH/BAIwADAdBgNVHQ4EFgQU6CleZ6Y+pvHCtu5zKHwUzfhZTOMwCgYIKoZI
zj0EAwIDSAAwRQIhAJt5FH8kWpUsFavubFxRqz+gUpz/rtn9HMtfVd2hArHhAiBs
IUoQZjEq1Y9zZUSV+0Z+nK8UtczuZl4zvXdnwY130w==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoYeLTgvEGVjcz7M+
+DUbX3QGt+twXy7wd9UudicONF2hRANCAATDbCGLBWecNIvpzQ0fHUyPE2Tcx6ij
YuoIfLHuiesUSdGNhSvW2lMMIPxbQzPUs5ZlKbBivPH8BKKggaoGIuzD
-----END PRIVATE KEY-----
`
}

/** How a TLS front behaves besides its certificate. */
export interface Front {
  /** Only clients with a certificate from {@link authority} are let in. */
  readonly asksClients?: boolean
  readonly maxVersion?: "TLSv1.1" | "TLSv1.2" | "TLSv1.3"
}

/** Speaks TLS on a port of its own and passes what it says on to `target`. */
export const terminate = async (
  target: number,
  { cert, key }: Certificate,
  { asksClients = false, maxVersion }: Front = {}
): Promise<AsyncDisposable & { url: string }> => {
  const open = new Set<() => void>()
  const about = {
    cert,
    key,
    ...(asksClients ? { ca: authority, requestCert: true, rejectUnauthorized: true } : {}),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(maxVersion === "TLSv1.1" ? { minVersion: "TLSv1" as const } : {})
  }
  const server = createServer(about, (outer) => {
    const inner = connectTcp(target, "127.0.0.1")
    const close = () => {
      outer.destroy()
      inner.destroy()
      open.delete(close)
    }
    open.add(close)
    for (const socket of [outer, inner]) socket.on("error", close).on("close", close)
    outer.pipe(inner)
    inner.pipe(outer)
  })
  server.on("tlsClientError", () => undefined)
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve())
  })
  const { port } = server.address() as AddressInfo // reason: a TCP server that listens has an address
  return {
    url: `https://127.0.0.1:${port}`,
    // Bun's server never hears of a connection that ended before its handshake: nobody waits for its end.
    [Symbol.asyncDispose]: () => {
      server.close()
      for (const close of open) close()
      return Promise.resolve()
    }
  }
}
