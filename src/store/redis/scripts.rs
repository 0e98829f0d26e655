//! What the server does in one piece, in Lua. Each script comes to the same when it runs twice.
//!
//! A key may hold anything: another program's list, a lease without an end, a fence that is no number. A script takes what is
//! not ours for missing, so that the next write replaces it. `redis.pcall` returns an error as a table instead of raising it.
//! Other errors are raised with the command's name in front: some servers do not say which one an account may not run.
//!
//! Those who wait read a stream. Lease number N announces itself there as entry `N-0` and its end as `N-1`; who reads from
//! behind `N-0` on misses no end, whenever it comes. An account that may not write the stream, or a server that has none,
//! costs those who wait some time: then they poll.

use redis::{Cmd, cmd};

/// A script and what it is run on.
pub(super) fn command(text: &str, keys: &[String], arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// What scripts read with, then the rest of one. The server hashes all of it at every call.
macro_rules! reading {
    ($($text:literal),+) => {
        concat!(
            "local function checked(name, done)
  if type(done) == 'table' and done.err then error(name .. ': ' .. done.err, 0) end
  return done
end
local function run(name, ...)
  return checked(name, redis.pcall(name, ...))
end
local function text(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' and value.err and value.err:find('WRONGTYPE') then return false end
  return type(checked('GET', value)) == 'string' and value
end
",
            $($text),+
        )
    };
}

/// The functions that scripts share, then the script.
macro_rules! script {
    ($text:literal) => {
        reading!(
            "local function number(key)
  local value = text(key)
  return value and value:match('^%d+$') and tonumber(value)
end
local function ours(value, owner)
  return value == owner or value == 'w' .. owner
end
local function tell(key, id, to)
  for _, id in ipairs({id, '*'}) do
    local done = redis.pcall('XADD', key, 'MAXLEN', '16', id, 'to', to)
    if type(done) == 'table' and done.err and done.err:find('WRONGTYPE') then
      run('DEL', key)
      done = redis.pcall('XADD', key, 'MAXLEN', '16', id, 'to', to)
    end
    if type(done) == 'string' then
      redis.pcall('PEXPIRE', key, '60000')
      return true
    end
  end
  return false
end
",
            $text
        )
    };
}

/// KEYS salt, fence, lease, then token, denied, failed. ARGV the largest entry in bytes. Answers the first three, then each
/// entry and the milliseconds that are left behind it. At most four commands: a failure is only published where a refusal no
/// longer holds, so beside one the refusal has 0 ms left. An account that lacks MGET costs some more.
pub(super) const LOOK: &str = reading!(
    "local values = redis.pcall('MGET', unpack(KEYS))
if values.err then
  for at, key in ipairs(KEYS) do values[at] = text(key) end
end
local found = {}
for at, key in ipairs(KEYS) do
  local value = values[at]
  if value and #value > tonumber(ARGV[1]) then value = false end
  table.insert(found, value)
  if at > 3 then
    local left = value and (at == 5 and values[6] and 0 or run('PTTL', key))
    table.insert(found, left)
  end
end
return found"
);

/// KEYS lease, fence, stream, next. ARGV owner, lease ms, fence ms, the longest that a lease may last.
/// Answers the fence's number as text and whether the end will be told; or as numbers how many milliseconds another has
/// the lease, and whether its end will be told. The first to come meanwhile is the next.
/// The fence comes from the clock, so that it also grows when the server has lost the last one, and is never less than
/// that one plus 1, so that it also grows when the clock is set back; one that is a year ahead is not ours.
pub(super) const ACQUIRE: &str = script!(
    "local holder = text(KEYS[1])
if holder and not ours(holder, ARGV[1]) then
  local left = run('PTTL', KEYS[1])
  if left >= 0 and left <= tonumber(ARGV[4]) then
    run('SET', KEYS[4], ARGV[1], 'NX', 'PX', left + 1)
    return {left, holder:sub(1, 1) == 'w' and 1 or 0}
  end
end
local time = run('TIME')
local fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = number(KEYS[2])
if last and last >= fence and last < fence + 31536000000000 then fence = last + 1 end
local written = string.format('%.0f', fence)
run('SET', KEYS[2], written, 'PX', ARGV[3])
local tells = tell(KEYS[3], written .. '-0', '')
run('SET', KEYS[1], (tells and 'w' or '') .. ARGV[1], 'PX', ARGV[2])
return {written, tells and 1 or 0}"
);

/// KEYS lease, fence, token. ARGV what the lease holds, lease ms, fence, fence ms. A server that has lost everything is told
/// again who holds the lease; where only the lease is missing, it was given back or ran out, and where a token is there and
/// the fence is not, the fence was evicted and the token may be a later holder's.
pub(super) const RENEW: &str = script!(
    "local holder = text(KEYS[1])
if holder ~= ARGV[1] then
  if holder or number(KEYS[2]) or text(KEYS[3]) then return 0 end
  run('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
run('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1"
);

/// KEYS lease, stream, next. ARGV what the lease holds, fence. Wakes the next, and all others should there be none.
pub(super) const RELEASE: &str = script!(
    "if text(KEYS[1]) == ARGV[1] then
  run('DEL', KEYS[1])
  local next = text(KEYS[3])
  run('DEL', KEYS[3])
  tell(KEYS[2], ARGV[2] .. '-1', next or '*')
end
return 1"
);

/// KEYS lease, fence, stream, next, token, denied, failed. ARGV what the lease holds, fence, then for each entry its text and
/// its ms; an entry without text stays as it is, one with 0 ms goes. Writes all of it, unless a later lease was given out or,
/// the fence and the lease being evicted, may have been; releases the lease, and wakes all.
pub(super) const PUBLISH: &str = script!(
    "local last = number(KEYS[2])
if last and last > tonumber(ARGV[2]) then return 0 end
local is_ours = text(KEYS[1]) == ARGV[1]
if not last and not is_ours and text(KEYS[5]) then return 0 end
for at = 3, 7, 2 do
  local key = KEYS[(at + 7) / 2]
  if ARGV[at + 1] == '0' then run('DEL', key)
  elseif ARGV[at] ~= '' then run('SET', key, ARGV[at], 'PX', ARGV[at + 1]) end
end
if is_ours then run('DEL', KEYS[1], KEYS[4]) end
tell(KEYS[3], ARGV[2] .. '-1', '*')
return 1"
);

/// KEYS salt. ARGV proposed salt.
pub(super) const SALT: &str = script!(
    "local salt = text(KEYS[1])
if salt and #salt == 16 then return salt end
run('SET', KEYS[1], ARGV[1])
return ARGV[1]"
);
