-- Gives a scope its sums, unless others have, or its waiting charges are others than were read.
if now < num(string.sub(epoch, 1, 13)) then return {-4} end
local scope, seen = arg(), arg()
local b, d, p = P .. 'b:' .. scope, P .. 'd:' .. scope, P .. 'p:' .. scope
local of = call('HMGET', b, 'e', 'g')
if is_ready(of[1], of[2]) then return {1} end
if (call('HGET', p, '') or '0') ~= seen then return {0} end
call('DEL', b, d, p)
for i = 1, num(arg()) do call('HSET', d, arg(), arg()) end
for i = 1, num(arg()) do call('HSET', b, arg(), arg()) end
call('HSET', b, 'e', epoch, 'g', ARGV[3])
return {1}
