// Judges records line by line: {as, data, network, log, now} comes in, {ok, why} goes
// out, in order. What is no record of its kind is refused; whether it is of use is
// another question. `data`, `log` and `ops` are hexadecimal, `now` Unix ms. Of an op it
// is told which mutations are well formed, of a whole space what it comes to.
import { createInterface } from 'node:readline'

import { readBlobFrame } from './blobs.mjs'
import { Refused, unhex } from './cbor.mjs'
import { checkFields } from './fields.mjs'
import { openCard, openInvite, openLog, openPresence } from './identity.mjs'
import { isFirst, isWellFormed, openOp, readGenesis } from './ops.mjs'
import { readMessage } from './ranges.mjs'
import { LOG_KINDS, openRecord } from './records.mjs'
import { comesTo } from './space.mjs'
import { readFrame } from './sync.mjs'

const lineOf = octets => 'nestmate1' + Buffer.from(octets).toString('base64url')

async function judgeOp (octets, network, sealed) {
  const op = await openOp(octets, network, sealed)
  if (isFirst(op)) readGenesis(op)
  return { well: op.mutations.map(isWellFormed) }
}

async function judgeSpace (ops, network) {
  const opened = await Promise.all(ops.map(each => openOp(unhex(each), network)))
  return comesTo(opened[0], opened)
}

async function judge ({ as, data = '', network, log, now, ops, sealed }) {
  const [octets, within] = [unhex(data), unhex(network)]
  if (as === 'space') return judgeSpace(ops, within)
  if (as === 'op') return judgeOp(octets, within, sealed)
  if (as === 'frame') readFrame(octets)
  else if (as === 'blobs') readBlobFrame(octets)
  else if (as === 'ranges') readMessage(octets)
  else if (LOG_KINDS.includes(as)) await openLog([...log.map(unhex), octets])
  else if (as === 'card') await openCard(octets, within, now)
  else if (as === 'presence') await openPresence(octets, within, now)
  else if (as === 'invite') await openInvite(lineOf(octets), within)
  else checkFields(await openRecord(octets, within))
}

for await (const line of createInterface({ input: process.stdin })) {
  let verdict = { ok: true }
  try {
    verdict = { ...verdict, ...await judge(JSON.parse(line)) }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    verdict = { ok: false, why: error.message }
  }
  process.stdout.write(JSON.stringify(verdict) + '\n')
}
