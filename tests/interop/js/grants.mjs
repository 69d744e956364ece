// Grants as docs/spec/07-grants.md has them: what is one, what it reaches, and whether
// one follows from another. Knows no op but by the key that wrote it.
import { Refused, refuse, same } from './cbor.mjs'
import { integer, many, octets, optional, text } from './fields.mjs'
import { openLog } from './identity.mjs'
import { textOf } from './texts.mjs'

export const RIGHT = { READ: 1, WRITE: 2, GRANT: 4, RULE: 8, RELAY: 16 }
const EXPIRY_MAX = Date.UTC(10_000, 0) - 1
const CHAIN_MAX = 32

const prefix = value => {
  if (typeof value !== 'string' || Buffer.byteLength(value) > 256) refuse('no prefix')
  if (value !== '' && value.split('/').includes('')) refuse('an empty segment')
}

const FIELDS = [
  [0, optional(octets(32))], [1, many(4, octets(32))], [2, integer(0, 31)],
  [3, many(16, prefix)], [4, optional(many(16, integer(0, 255)))],
  [5, optional(integer(1, EXPIRY_MAX))], [6, integer(0, 8)],
  [7, optional(many(64, octets(1, 14 * 1024)))], [8, optional(text(64))],
  [9, optional(integer(1, 64))], [10, optional(integer(1, EXPIRY_MAX))]
]

const has = (keys, key) => keys.some(each => same(each, key))

export function readGrant (arg) {
  if (!(arg instanceof Map)) refuse('no grant')
  for (const [number, check] of FIELDS) check(arg.get(number))
  const [who, keys, rights, paths, types, expires, depth, log, , generation, closes] =
    FIELDS.map(([number]) => arg.get(number) ?? null)
  if (!keys.length || !paths.length) refuse('nobody or nowhere')
  for (let n = 1; n < keys.length; n++) {
    if (Buffer.compare(keys[n - 1], keys[n]) >= 0) refuse('keys out of order')
  }
  return { who, keys, rights, paths, types, expires, depth, log, generation, closes: who === null ? closes : null }
}

function areas (paths, who) {
  if (!who) return paths
  const address = textOf('nest', who)
  return paths.map(path =>
    path.split('/').map(part => part === '{self}' ? address : part).join('/'))
}

const isBelow = (path, area) => area === '' || path === area || path.startsWith(area + '/')
const allBelow = (paths, over) => paths.every(path => over.some(area => isBelow(path, area)))

export function covers (grant, right, path, type) {
  return (grant.rights & right) !== 0 && (grant.types === null || grant.types.includes(type)) &&
    areas(grant.paths, grant.who).some(area => isBelow(path, area))
}

// The log of a grant, if it is that of `who` and has all its keys among its devices.
async function proven (grant) {
  if (!grant.who || !grant.log?.length) return null
  try {
    const log = await openLog(grant.log)
    const proves = same(log.address, grant.who) && grant.keys.every(key => has(log.devices, key))
    return proves && !log.retired ? log : null
  } catch (error) {
    if (error instanceof Refused) return null
    throw error
  }
}

// R7.2
async function exceeds (child, parent) {
  if (child.rights & ~parent.rights) return true
  if (parent.expires !== null && (child.expires === null || child.expires > parent.expires)) {
    return true
  }
  if (parent.types !== null && !child.types?.every(type => parent.types.includes(type))) return true
  const wanted = areas(child.paths, child.who)
  if (allBelow(wanted, areas(parent.paths, parent.who))) return false
  if (parent.who || !child.who || !allBelow(wanted, areas(parent.paths, child.who))) return true
  return !(await proven(child))
}

// The second half of R7.3: the same grant in the hands of newer keys.
async function succeeds (child, parent, author) {
  if (!parent.who || !child.who || !same(parent.who, child.who)) return false
  if (parent.generation === null || child.depth > parent.depth) return false
  const log = await proven(child)
  if (!log) return false
  const turns = log.records.filter(each => ['inception', 'rotate'].includes(each.kind)).length
  return turns > parent.generation && child.generation === turns && has(log.devices, author)
}

// Whether an author may make `child` out of `parent`, whose chain has so many grants.
export async function follows (child, parent, author, length) {
  if (length >= CHAIN_MAX || await exceeds(child, parent)) return false
  const handed = has(parent.keys, author) && (parent.rights & RIGHT.GRANT) !== 0 &&
    child.depth < parent.depth
  return handed || succeeds(child, parent, author)
}

export async function isSuccession (child, parent, author) {
  return !(await exceeds(child, parent)) && succeeds(child, parent, author)
}

export const names = (grant, key) => has(grant.keys, key)
