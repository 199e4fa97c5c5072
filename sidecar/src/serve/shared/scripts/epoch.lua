-- The group's epoch, begun anew when there is none or when it is of another server: one that was
-- started again, even if it has read back what it had written to disk, or another node of a cluster.
-- Services that ask for it say so, and whom they know. Those that were known when it began are waited for
-- until each has said that everything of it is there:
--   m  services by when they asked last
--   q  those that are not done, by until when they are waited for
--   k  those that are done
-- ARGV: what keys begin with, the present, from when on a new epoch admits, how long somebody is waited
-- for, how long somebody is known; who asks, and the epoch that it is done in; others that it knows.
-- It says the epoch, how many are waited for, and services and when they asked last.
local call, num = redis.call, tonumber
local known = call('GET', KEYS[1])
local server = string.match(call('INFO', 'server'), 'run_id:(%w+)') or ''
local node = redis.pcall('CLUSTER', 'MYID')
server = string.sub(server .. string.rep('0', 12), 1, 12) .. (type(node) == 'string' and string.sub(node, 1, 8) or '')
if not known or string.sub(known, 14) ~= server then
  known = ARGV[3] .. server
  call('SET', KEYS[1], known)
end
local P, now, absent, me = ARGV[1] .. known .. ':', num(ARGV[2]), num(ARGV[4]), ARGV[6]
local members, waited, done = P .. 'm', P .. 'q', P .. 'k'
local function whole(n) return string.format('%.0f', n) end
local latest = whole(num(string.sub(known, 1, 13)) + absent)
for i = 8, #ARGV do
  if call('SISMEMBER', done, ARGV[i]) == 0 then call('ZADD', waited, 'NX', latest, ARGV[i]) end
end
if ARGV[7] == known then
  call('SADD', done, me)
  call('ZREM', waited, me)
elseif call('SISMEMBER', done, me) == 0 then
  call('ZADD', waited, whole(now + absent), me)
end
call('ZADD', members, whole(now), me)
call('ZREMRANGEBYSCORE', members, '-inf', whole(now - num(ARGV[5])))
return {known, call('ZCOUNT', waited, whole(now), '+inf'), call('ZRANGE', members, 0, -1, 'WITHSCORES')}
