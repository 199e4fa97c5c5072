-- The group's epoch, begun anew when there is none or when it is of another server: one that was
-- started again, even if it has read back what it had written to disk, or another node of a cluster.
local known = redis.call('GET', KEYS[1])
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
server = string.sub(server, 1, 12)
if known and string.sub(known, 14) == server then return known end
redis.call('SET', KEYS[1], ARGV[1] .. server)
return ARGV[1] .. server
