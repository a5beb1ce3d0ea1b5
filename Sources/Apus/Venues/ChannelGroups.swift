/// Channels in groups whose subscriptions each fit a frame. Cold.
enum ChannelGroups {
  static func of(_ channels: [String]) -> [[String]] {
    var groups: [[String]] = []
    var bytes = Int.max
    for channel in channels {
      // Its quotes and a comma.
      let more = channel.utf8.count + 3
      if bytes > LaneOutput.frameCapacity - 512 - more {
        groups.append([])
        bytes = 0
      }
      groups[groups.count - 1].append(channel)
      bytes += more
    }
    return groups
  }
}
