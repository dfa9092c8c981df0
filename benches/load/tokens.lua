-- Each request with the next token of a file, as if it came from another caller.
local requests, n = {}, 0
init = function(args)
  for token in io.lines(os.getenv("TOKENS")) do
    requests[#requests + 1] = wrk.format("GET", os.getenv("TARGET"), { ["Authorization"] = "Bearer " .. token })
  end
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
