-- A value as logs can have it: no cycles, and nothing that only Lua knows (spec modules/02 §6.2).
--
-- What is no data becomes {["$userdata"] = n}, alike for functions and threads. A table that occurs again gets an "$id",
-- and stands as {["$table"] = id} wherever it comes after its first time.

return function(value)
  local seen = {}
  local function count(v)
    if type(v) ~= "table" or getmetatable(v) == false then return end
    seen[v] = (seen[v] or 0) + 1
    if seen[v] > 1 then return end
    for k, item in next, v do
      count(k)
      count(item)
    end
  end
  count(value)

  local ids, tables, others = {}, 0, {}
  local function number(v)
    if others[v] == nil then
      others[#others + 1] = v
      others[v] = #others
    end
    return others[v]
  end

  local function plain(v)
    local kind = type(v)
    if kind == "userdata" or kind == "function" or kind == "thread" then return {["$" .. kind] = number(v)} end
    if kind ~= "table" then return v end
    if getmetatable(v) == false then return tostring(v) end -- a structured error, or an integer above 64 bits
    if ids[v] then return {["$table"] = ids[v]} end
    local copy = {}
    if seen[v] > 1 then
      tables = tables + 1
      ids[v] = tables
      copy["$id"] = tables
    end
    for k, item in next, v do
      if type(k) ~= "string" and type(k) ~= "number" then k = type(k) == "boolean" and tostring(k) or type(k) end
      copy[k] = plain(item)
    end
    return copy
  end

  return plain(value)
end
