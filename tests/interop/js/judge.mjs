// Judges records line by line: {as, data, network, log, now} comes in, {ok, why} goes
// out, in order. What is no record of its kind is refused; whether it is of use is
// another question. `data` and `log` are hexadecimal, `now` Unix ms.
import { createInterface } from 'node:readline'

import { Refused, unhex } from './cbor.mjs'
import { checkFields } from './fields.mjs'
import { openCard, openInvite, openLog, openPresence } from './identity.mjs'
import { LOG_KINDS, openRecord } from './records.mjs'

const lineOf = octets => 'nestmate1' + Buffer.from(octets).toString('base64url')

async function judge ({ as, data, network, log, now }) {
  const [octets, within] = [unhex(data), unhex(network)]
  if (LOG_KINDS.includes(as)) await openLog([...log.map(unhex), octets])
  else if (as === 'card') await openCard(octets, within, now)
  else if (as === 'presence') await openPresence(octets, within, now)
  else if (as === 'invite') await openInvite(lineOf(octets), within)
  else checkFields(await openRecord(octets, within))
}

for await (const line of createInterface({ input: process.stdin })) {
  let verdict = { ok: true }
  try {
    await judge(JSON.parse(line))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    verdict = { ok: false, why: error.message }
  }
  process.stdout.write(JSON.stringify(verdict) + '\n')
}
