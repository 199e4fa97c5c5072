-- Reads what of ARGV says where something counts and what bounds it, and the state of all that.
--   budgets: count, then scope, version since which it is counted, count of windows, then kind, start and limit (or nothing) of each
--   limits: count, then scope, most that may run (or nothing), count of tracks, then measure, length
--           and most (or nothing) of each
local budgets, limits, unready, binds = {}, {}, {-2}, false
for b = 1, num(arg()) do
  local scope, since, windows = arg(), num(arg()), {}
  local names = {'g'}
  for w = 1, num(arg()) do
    local kind, start, limit = arg(), arg(), arg()
    windows[w] = {kind = kind, start = num(start), name = start, limit = num(limit)}
    if limit ~= '' then binds = true end
    names[#names + 1] = (kind == 'T') and 'T' or (kind .. start)
  end
  if #windows > 0 then
    local sums = call('HMGET', P .. 'b:' .. scope, unpack(names))
    if not is_ready(sums[1], since) then unready[#unready + 1] = b end
    local held = call('HGETALL', P .. 'a:' .. scope)
    for w, window in ipairs(windows) do
      local kind, spent = window.kind, sums[w + 1]
      if kind == 'D' then
        spent = call('HGET', P .. 'd:' .. scope, window.name)
      elseif kind == 'R' then
        spent = 0
        local days = call('HGETALL', P .. 'd:' .. scope)
        for i = 1, #days, 2 do
          if num(days[i]) >= window.start then spent = spent + num(days[i + 1]) end
        end
      end
      window.spent, window.held = num(spent or '0'), 0
      for i = 1, #held, 2 do
        if kind == 'R' or num(held[i]) >= window.start then
          window.held = window.held + num(held[i + 1])
        end
      end
    end
  end
  budgets[b] = {scope = scope, windows = windows}
end
for l = 1, num(arg()) do
  local scope, most = arg(), num(arg())
  if most then binds = true end
  local limit = {scope = scope, most = most, tracks = {}}
  limit.running = num(call('GET', P .. 'n:' .. scope) or '0')
  for t = 1, num(arg()) do
    local m, len, bound = arg(), num(arg()), num(arg())
    local bucket = now - now % len
    local counts = call('MGET', track(m, len, bucket, scope), track(m, len, bucket - len, scope))
    limit.tracks[t] = {m = m, len = len, limit = bound,
      current = num(counts[1] or '0'), before = num(counts[2] or '0')}
  end
  limits[l] = limit
end
local function states(code)
  local r = {code}
  for _, b in ipairs(budgets) do
    for _, w in ipairs(b.windows) do
      r[#r + 1] = w.spent
      r[#r + 1] = w.held
    end
  end
  for _, l in ipairs(limits) do
    r[#r + 1] = l.running
    for _, t in ipairs(l.tracks) do
      r[#r + 1] = t.current
      r[#r + 1] = t.before
    end
  end
  return r
end
if now < num(string.sub(epoch, 1, 13)) and not forced then return {-4} end
-- What somebody may hold whose word is waited for is not there yet.
if binds and not forced and call('ZCOUNT', P .. 'q', ARGV[2], '+inf') > 0 then return {-4} end
if #unready > 1 and not forced then return unready end
