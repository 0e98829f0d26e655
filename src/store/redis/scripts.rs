//! What the server does in one piece, in Lua. Each script comes to the same when it runs twice.
//!
//! A key may hold anything: another program's list, a lease without an end, a fence that is no number. A script takes what is
//! not ours for missing, so that the next write replaces it. `redis.pcall` returns an error as a table instead of raising it.

/// The functions that scripts share, then the script.
macro_rules! script {
    ($text:literal) => {
        concat!(
            "local function text(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end
local function number(key)
  local value = text(key)
  return value and value:match('^%d+$') and tonumber(value)
end
",
            $text
        )
    };
}

/// KEYS salt, then entries. ARGV the largest entry in bytes. Answers each key's value, and for entries the milliseconds that
/// are left behind each. An account that lacks MGET costs some commands more.
pub(super) const LOOK: &str = script!(
    "local values = redis.pcall('MGET', unpack(KEYS))
if values.err then
  for at, key in ipairs(KEYS) do values[at] = text(key) end
end
local found = {}
for at, key in ipairs(KEYS) do
  local value = values[at]
  if value and #value > tonumber(ARGV[1]) then value = false end
  table.insert(found, value)
  if at > 1 then table.insert(found, value and redis.call('PTTL', key)) end
end
return found"
);

/// KEYS lease, fence. ARGV owner, lease ms, fence ms, the longest that a lease may last. Answers the fence's number as text,
/// or as a number the milliseconds until the lease of another ends.
/// The fence comes from the clock, so that it also grows when the server has lost the last one, and is never less than
/// that one plus 1, so that it also grows when the clock is set back; one that is a year ahead is not ours.
pub(super) const ACQUIRE: &str = script!(
    "local holder = text(KEYS[1])
if holder and holder ~= ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left <= tonumber(ARGV[4]) then return left end
end
local time = redis.call('TIME')
local fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = number(KEYS[2])
if last and last >= fence and last < fence + 31536000000000 then fence = last + 1 end
local written = string.format('%.0f', fence)
redis.call('SET', KEYS[2], written, 'PX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return written"
);

/// KEYS lease, fence, token. ARGV owner, lease ms, fence, fence ms. A server that has lost everything is told again who holds
/// the lease; where only the lease is missing, it was given back or ran out, and where a token is there and the fence is not,
/// the fence was evicted and the token may be a later holder's.
pub(super) const RENEW: &str = script!(
    "local holder = text(KEYS[1])
if holder ~= ARGV[1] then
  if holder or number(KEYS[2]) or text(KEYS[3]) then return 0 end
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1"
);

/// KEYS lease. ARGV owner.
pub(super) const RELEASE: &str = script!(
    "if text(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1"
);

/// KEYS lease, fence, token, denied. ARGV owner, fence, token, its ms, denied, its ms; an entry without text stays as it
/// is, one with 0 ms goes. Writes all of it, unless a later lease was given out or, the fence and the lease being evicted, may
/// have been; and gives the lease back.
pub(super) const PUBLISH: &str = script!(
    "local last = number(KEYS[2])
if last and last > tonumber(ARGV[2]) then return 0 end
if not last and text(KEYS[1]) ~= ARGV[1] and text(KEYS[3]) then return 0 end
for at = 3, 5, 2 do
  local key = KEYS[(at + 3) / 2]
  if ARGV[at + 1] == '0' then redis.call('DEL', key)
  elseif ARGV[at] ~= '' then redis.call('SET', key, ARGV[at], 'PX', ARGV[at + 1]) end
end
if text(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1"
);

/// KEYS salt. ARGV proposed salt.
pub(super) const SALT: &str = script!(
    "local salt = text(KEYS[1])
if salt and #salt == 16 then return salt end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]"
);
