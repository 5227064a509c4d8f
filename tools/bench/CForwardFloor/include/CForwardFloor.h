// C floor
