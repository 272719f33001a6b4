// Chunks are the same on the wire as protobuf's own, both ways, and whatever arrives is taken and refused alike.
#include "coordinator/chunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace basin::coordinator {
namespace {

using Traits = grpc::SerializationTraits<Chunk, void>;

std::string TextOf(Parts parts) {
  std::string text;
  for (const auto part : parts) text.append(reinterpret_cast<const char*>(part.data()), part.size());
  return text;
}

v1::WeightsChunk Example(const std::string& data) {
  v1::WeightsChunk chunk;
  chunk.mutable_caller()->set_member(3);
  chunk.mutable_caller()->set_incarnation(77);
  chunk.set_name("members/003.safetensors");
  chunk.set_total_bytes(int64_t{1} << 40);
  chunk.set_total_hash(~uint64_t{0});
  chunk.set_offset(524288);
  chunk.set_hash(12345);
  chunk.set_data(data);
  return chunk;
}

std::string OnWire(const Chunk& chunk) {
  grpc::ByteBuffer wire;
  bool own = false;
  EXPECT_TRUE(Traits::Serialize(chunk, &wire, &own).ok());
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(wire.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

/// Parses what comes in slices of `size` bytes.
bool Parse(const std::string& wire, size_t size, Chunk& chunk) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < wire.size(); at += size) slices.emplace_back(wire.substr(at, size));
  grpc::ByteBuffer buffer(slices.data(), slices.size());
  return Traits::Deserialize(&buffer, &chunk).ok();
}

/// Both parsers agree on the bytes, and what they take is the same.
void ExpectSame(const std::string& wire) {
  v1::WeightsChunk theirs;
  const bool taken = theirs.ParseFromString(wire);
  for (const size_t size : {size_t{1}, size_t{7}, size_t{64}, wire.size() + 1}) {
    Chunk ours;
    ASSERT_EQ(Parse(wire, size, ours), taken) << size << ": " << testing::PrintToString(wire);
    if (!taken) continue;
    EXPECT_EQ(TextOf(ours.data()), theirs.data());
    EXPECT_EQ(ours.data_bytes(), theirs.data().size());
    v1::WeightsChunk head = theirs;
    head.clear_data();
    EXPECT_EQ(ours.head.SerializeAsString(), head.SerializeAsString());
  }
}

TEST(Chunk, IsWrittenAsProtobufWritesIt) {
  for (const size_t size : {0, 1, 127, 128, 100'000, 524'288}) {
    const std::string data(size, 'd');
    Chunk chunk;
    chunk.head = Example({});
    chunk.SetData(std::as_bytes(std::span(data)), nullptr);
    EXPECT_EQ(OnWire(chunk), Example(data).SerializeAsString()) << size;
  }
}

TEST(Chunk, IsReadHoweverItsBytesAreCut) {
  ExpectSame(Example(std::string(1000, 'd')).SerializeAsString());
  ExpectSame(Example({}).SerializeAsString());
  ExpectSame({});
}

TEST(Chunk, FieldsMayComeInAnyOrderTwiceOrUnknown) {
  const std::string once = Example("first").SerializeAsString(), again = Example("second one").SerializeAsString();
  ExpectSame(once + again);
  ExpectSame(again + once);
  v1::WeightsChunk data;
  data.set_data("alone");
  ExpectSame(data.SerializeAsString() + Example({}).SerializeAsString());
  ExpectSame(once + std::string("\x3a\0", 2));               // data again, and empty
  ExpectSame(once + std::string("\xf8\x07\x01", 3));         // field 127, a number
  ExpectSame(once + std::string("\xfb\x07\x08\x01\xfc\x07", 6));  // field 127, a group
  ExpectSame(once + std::string("\x38\x05", 2));             // data as a number: another field to protobuf
  ExpectSame(once + std::string("\xfc\x07", 2));             // the end of a group that never began
  ExpectSame(once + std::string("\x3a\xff\xff\xff\xff\x0f", 6));  // data of 4 GiB
  ExpectSame(once + std::string("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11));
  ExpectSame(once + std::string(1, '\0'));
  ExpectSame(once + std::string("\xba\x80\x80\x80\x00\x01x", 7));      // data with a long tag
  ExpectSame(once + std::string("\xba\x80\x80\x80\x80\x00\x01x", 8));  // and with one that is too long
  ExpectSame(once + std::string("\x3a\x81\x80\x80\x80\x00x", 7));      // a long length
  ExpectSame(once + std::string("\x3a\x81\x80\x80\x80\x80\x00x", 8));
  ExpectSame(once + std::string("\x12\x81\x80\x80\x80\x80\x00x", 8));  // of the name
}

TEST(Chunk, DamagedAndCutBytesAreTakenOrRefusedAsProtobufDoes) {
  const std::string wire = Example("some bytes of a payload").SerializeAsString();
  for (size_t size = 0; size < wire.size(); ++size) ExpectSame(wire.substr(0, size));
  std::mt19937 random(1);
  for (int i = 0; i < 4000; ++i) {
    std::string damaged = wire;
    for (uint32_t hits = 1 + random() % 3; hits > 0; --hits) damaged[random() % damaged.size()] = static_cast<char>(random());
    ExpectSame(damaged);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Chunk, WhatIsSentIsKeptAliveAsLongAsGrpcHoldsIt) {
  auto text = std::make_shared<const std::string>(100'000, 'k');
  const std::weak_ptr<const std::string> watched = text;
  grpc::ByteBuffer wire;
  {
    Chunk chunk;
    chunk.SetData(std::as_bytes(std::span(*text)), text);
    bool own = false;
    ASSERT_TRUE(Traits::Serialize(chunk, &wire, &own).ok());
    text.reset();
  }
  EXPECT_FALSE(watched.expired());
  wire.Clear();
  EXPECT_TRUE(watched.expired());
}

TEST(Chunk, OneObjectReadsManyMessages) {
  Chunk chunk;
  EXPECT_TRUE(Parse(Example("one").SerializeAsString(), 5, chunk));
  EXPECT_TRUE(Parse(v1::WeightsChunk().SerializeAsString(), 5, chunk));
  EXPECT_EQ(chunk.data_bytes(), 0U);
  EXPECT_EQ(chunk.head.ByteSizeLong(), 0U);
}

}  // namespace
}  // namespace basin::coordinator
