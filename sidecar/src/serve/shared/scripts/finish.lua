-- Lowers a lease to what it still needs, or ends it and gives back what of it was not used.
local hold = load(arg())
local keep, done, requests, tokens, running = num(arg()), arg() == '1', num(arg()), num(arg()), num(arg())
if not hold then return {0} end
if done then
  release(hold)
  uncount(hold, math.min(requests, hold.requests), math.min(tokens, hold.tokens))
  return {1}
end
resize(hold, math.max(math.min(keep, num(hold.amount)), 0))
local key = P .. 'h:' .. hold.x
if num(hold.cost) > num(hold.amount) then call('HSET', key, 'c', hold.amount) end
if running < hold.running then
  for _, l in ipairs(hold.limits) do stop(l[1], hold.running - running) end
  call('HSET', key, 'u', whole(running))
end
return {1}
